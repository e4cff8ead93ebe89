"""The plug-ins and fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.temporary import folder_of_run

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
    """The folder of converted models, each converted once a run, by the first test that needs it."""
    folder = folder_of_run(tmp_path_factory) / "cache"
    folder.mkdir(exist_ok=True)
    return folder
