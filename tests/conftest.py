"""The plug-ins and fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["tests.recoveries", "tests.servers.fixtures", "tests.house"]


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of converted models, each converted once a process, by the first test that needs it."""
    return tmp_path_factory.mktemp("cache")
