"""What the whole run shares."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["tests.recoveries", "tests.servers.fixtures"]

SERVERS = {
    "cassandra_node",
    "cassandra_url",
    "opensearch_node",
    "opensearch_url",
    "rabbit_node",
    "rabbit_site",
}
FLEET = Path(__file__).parent / "fleet"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, those that need a server share one, and each server starts once.

    They wait more than they compute, so the others run meanwhile.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & SERVERS or item.path.is_relative_to(FLEET):
            item.add_marker(pytest.mark.xdist_group("servers"))


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted models: made once a process, by whichever test needs them first."""
    return tmp_path_factory.mktemp("cache")
