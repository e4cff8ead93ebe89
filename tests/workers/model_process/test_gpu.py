"""The GPU's memory, and the share in a child's environment, with a script that stands in for nvidia-smi."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workers.model_process.gpu import gpu_total_mb


def stand_in_for_nvidia_smi(folder: Path, text: str) -> None:
    """Put a program of that name first in the search path. It answers one question with `text`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nvidia-smi"
    asked = "--query-gpu=memory.total --format=csv,noheader,nounits"
    path.write_text(f'#!/bin/sh\n[ "$*" = "{asked}" ] || exit 2\n{text}\n', "utf-8")
    path.chmod(0o755)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "stand-in-for-nvidia-smi"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize(
    ("text", "total_mb"),
    [
        ("echo 16384", 16384),
        ("echo 16384; echo 8192", 8192),
        ("exit 9", None),
        ("echo 'No devices were found'", None),
        ("true", None),
    ],
)
def test_the_memory_is_what_the_driver_says(stand_in: Path, text: str, total_mb: int | None) -> None:
    stand_in_for_nvidia_smi(stand_in, text)
    assert gpu_total_mb() == total_mb


def test_without_the_drivers_program_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_total_mb() is None
