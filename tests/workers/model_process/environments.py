"""Virtual environments for model processes, each made once a run, by the first test that needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.model_process.interpreter import REQUIREMENTS


@pytest.fixture(scope="session")
def environment_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the interpreter of an environment with the requirements, this NumPy, and nothing else."""
    made: dict[str, Path] = {}

    def environment_with(numpy: str) -> Path:
        if numpy not in made:
            made[numpy] = _make(tmp_path_factory.mktemp("environment"), numpy)
        return made[numpy]

    return environment_with


def _make(folder: Path, numpy: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([*pip, "-r", str(REQUIREMENTS), f"numpy=={numpy}.*"], check=True, env=outside)
    return python
