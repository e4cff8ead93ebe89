"""A virtual environment for each peer, made once from its file of pinned requirements."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "peers" / "requirements"
STAMP = "installed-from"


class VenvError(Exception):
    """Raised for an environment that cannot be made; says the installer's last line."""


def interpreter_of(name: str, folder: Path) -> Path:
    """Return the interpreter of a peer's environment, which is made if its requirements have changed.

    Raises: VenvError.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    place = folder / name
    interpreter, stamp = place / "bin" / "python", place / STAMP
    wanted = f"{sys.version} {hashlib.sha256(requirements.read_bytes()).hexdigest()}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return interpreter
    venv.create(place, clear=True, with_pip=True)
    install = [str(interpreter), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    done = subprocess.run([*install, "-r", str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise VenvError((done.stderr.strip() or "pip said nothing").splitlines()[-1])
    stamp.write_text(wanted)
    return interpreter
