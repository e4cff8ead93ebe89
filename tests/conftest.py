"""The plug-ins and fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.recoveries",
    "tests.servers.fixtures",
    "tests.house",
    "tests.workers.model_process.environments",
]


# An example that loads a library first takes seconds on a busy machine. No test measures time.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of converted models, each converted once a process, by the first test that needs it."""
    return tmp_path_factory.mktemp("cache")
