"""The interpreter that a card names for the model's process: refused if it cannot run one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from panopticon.cards.cards import ModelCard
from panopticon.errors import UsageError
from workers.model_process.frames import PROTOCOL
from workers.runtime.end_with_parent import run_child

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def refuse_unfit_interpreter(card: ModelCard) -> None:
    """Do nothing for a card that names none.

    Raises: UsageError in one line for an interpreter that cannot be started, lacks packages that every model
    process imports, or has another release of this project.
    """
    python = card.own_python
    if python is None:
        return
    where = f"{card.version_name}: needs.python {python}"
    try:
        done = run_child("workers.model_process.interpreter_probe", [str(REQUIREMENTS)], python=python)
    except OSError as error:
        raise UsageError(
            f"{where}: it cannot be started ({error.strerror}); make a virtual environment there, and run "
            f"{_install(python)}"
        ) from None
    lacking, protocol = _answer(where, python, done)
    if lacking:
        raise UsageError(f"{where}: it lacks {', '.join(lacking)}; run {_install(python)}")
    if protocol != PROTOCOL:
        raise UsageError(
            f"{where}: it has frames of protocol {protocol}, not {PROTOCOL}, so it runs another release of "
            f"this project; name the interpreter itself, and run {_install(python)}"
        )


def _answer(where: str, python: Path, done: subprocess.CompletedProcess[str]) -> tuple[list[str], int | None]:
    try:
        answer = json.loads(done.stdout)
        return [str(package) for package in answer["lacking"]], answer["protocol"]
    except (ValueError, LookupError, TypeError):
        last_line = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise UsageError(
            f"{where}: it is not an interpreter that can run a model process ({last_line}); name one of "
            f"Python 3.11 or later, and run {_install(python)}"
        ) from None


def _install(python: Path) -> str:
    return f"{python} -m pip install -r {REQUIREMENTS}"
