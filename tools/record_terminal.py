"""Draw a terminal in which Panopticon really runs: `python -m tools.record_terminal docs/terminal.svg`.

Every command runs in a pseudo-terminal on the sample photos, with a database of its own; what it prints is
what is drawn, but for the name of the temporary folder, which becomes a home. Progress goes to standard
error and is left out.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tools.sample_photos import folders

COLUMNS, ROWS = 132, 200
HOME = "/home/ada"
PHOTOS = (
    "skimage/data/coffee.png",
    "skimage/data/chelsea.png",
    "skimage/data/motorcycle_left.png",
    "skimage/data/rocket.jpg",
    "sklearn/datasets/images/china.jpg",
    "sklearn/datasets/images/flower.jpg",
)


def record(folder: Path) -> str:
    """The picture, as SVG."""
    terminal = Console(width=COLUMNS, record=True, file=StringIO(), force_terminal=True)
    _gather(folder / "photos")
    for command in ("panopticon index photos", "panopticon search animal", "panopticon status"):
        terminal.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        terminal.print(_word_by_word(_output(command, folder).replace(str(folder), HOME)))
    return terminal.export_svg(title="panopticon", code_format=_local_fonts_only(), unique_id="panopticon")


def _word_by_word(printed: str) -> Text:
    """Each word is placed by itself, so that columns stand under each other in any font."""
    text = Text.from_ansi(printed)
    text.highlight_regex(r"\S+", "none")
    return text


def _gather(folder: Path) -> None:
    """Copies of the photos that are drawn."""
    folder.mkdir()
    site_packages = Path(folders()[0]).resolve().parents[1]
    for photo in PHOTOS:
        shutil.copy(site_packages / photo, folder)


def _output(command: str, folder: Path) -> str:
    """What a command prints on a terminal; what it prints on standard error is shown to who records."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli.main", *shlex.split(command)[1:]],
        cwd=folder,
        env=_environ(folder),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    )
    os.close(theirs)
    shown = _read_all(ours)
    if process.wait():
        sys.exit(f"{command} ended with exit code {process.returncode}")
    return shown.replace("\r\n", "\n").rstrip("\n") + "\n"


def _environ(folder: Path) -> dict[str, str]:
    root = Path(__file__).parents[1]
    return {
        **os.environ,
        "TERM": "xterm-256color",
        "PYTHONPATH": str(root),
        "PANOPTICON_DATABASE": f"sqlite:///{folder}/panopticon.db",
        "PANOPTICON_CACHE_DIR": str(root / ".panopticon" / "cache"),
    }


def _read_all(descriptor: int) -> str:
    pieces = []
    while piece := _read(descriptor):
        pieces.append(piece)
    os.close(descriptor)
    return b"".join(pieces).decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # Linux says so, where others give an empty read, once nobody can write any more.
        return b""


def _local_fonts_only() -> str:
    """Rich's frame without the fonts that it would fetch from elsewhere."""
    return re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        Path(sys.argv[1]).write_text(record(Path(name).resolve()), "utf-8")
