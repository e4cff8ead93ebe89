"""Fixtures of the tests of web sources."""

from __future__ import annotations

import pytest

from tests.storage.originals.names import Names


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Host names that resolve as the test demands."""
    return Names(monkeypatch)
