"""Temporary folders that the processes of one run have in common."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def folder_of_run(folders: pytest.TempPathFactory) -> Path:
    """Return the folder that all processes of this run, and no others, share."""
    folder = folders.getbasetemp()
    # The processes of pytest-xdist have their folders in a common one; alone, that one is common to all runs.
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
