"""Draw a terminal with the real output of Panopticon: `python -m tools.record_terminal docs/terminal.svg`.

Every command runs in a pseudo-terminal on the sample photos, with a temporary database. Its output is drawn
unchanged, except for the name of the temporary folder, which is replaced by a home folder. Progress goes to
standard error and is left out.
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
from contextlib import suppress
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from workers.runtime.end_with_parent import start_child
from workers.submission.sample_photos import folders

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
    """Run the commands and return the picture as SVG."""
    terminal = Console(width=COLUMNS, record=True, file=StringIO(), force_terminal=True)
    photos = folder / "photos"
    photos.mkdir()
    site_packages = Path(folders()[0]).resolve().parents[1]
    for photo in PHOTOS:
        shutil.copy(site_packages / photo, photos)
    for command in ("panopticon index photos", "panopticon search animal", "panopticon status"):
        terminal.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        text = Text.from_ansi(_output(command, folder).replace(str(folder), HOME))
        # Each word gets its own place, so that columns are aligned in any font.
        text.highlight_regex(r"\S+", "none")
        terminal.print(text)
    # Rich's frame would download fonts.
    frame = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return terminal.export_svg(title="panopticon", code_format=frame, unique_id="panopticon")


def _output(command: str, folder: Path) -> str:
    """Return the output of a command on a terminal. Its standard error goes to ours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = start_child(
        "workers.cli.main",
        shlex.split(command)[1:],
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
    # Once nobody can write any more, Linux raises EIO; other systems return no bytes.
    with suppress(OSError):
        while piece := os.read(descriptor, 65536):
            pieces.append(piece)
    os.close(descriptor)
    return b"".join(pieces).decode()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        Path(sys.argv[1]).write_text(record(Path(name).resolve()), "utf-8")
