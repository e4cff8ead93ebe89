"""Programs that a test needs on this machine."""

from __future__ import annotations

import os

import pytest


def require(ready: object, missing: str) -> None:
    """Return if `ready`; else fail the test in CI, and skip it elsewhere. `missing`: how to install it."""
    if not ready:
        (pytest.fail if "CI" in os.environ else pytest.skip)(missing)
