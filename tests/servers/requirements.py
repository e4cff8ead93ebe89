"""What a test needs of this machine, and what is said where it is missing."""

from __future__ import annotations

import os

import pytest


def require(ready: object, missing: str) -> None:
    """Go on if `ready`; else fail in CI and skip at home. `missing` names the command for it."""
    if not ready:
        (pytest.fail if "CI" in os.environ else pytest.skip)(missing)
