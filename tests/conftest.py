"""What the whole run shares."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["tests.recoveries", "tests.servers.fixtures"]


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted models: made once a run, by whichever test needs them first."""
    return tmp_path_factory.mktemp("cache")
