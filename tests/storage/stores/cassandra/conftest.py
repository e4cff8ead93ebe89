"""One keyspace for the whole run, which is emptied before each test that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from storage.stores import open_store
from tests.storage.stores.cassandra.keyspaces import BackDoor, at_keyspace


@pytest.fixture(scope="session")
def whole_run(cassandra_url: str) -> Iterator[BackDoor]:
    """The keyspace of the run, created by the store itself and dropped at the end."""
    url = at_keyspace(cassandra_url, f"panopticon_test_{uuid4().hex[:12]}")
    with closing(open_store(url)) as store:
        store.registry.models()
    with BackDoor(url) as back_door:
        yield back_door
        back_door.run("DROP KEYSPACE {}")


@pytest.fixture
def back_door(whole_run: BackDoor) -> BackDoor:
    whole_run.empty()
    return whole_run


@pytest.fixture
def store_url(back_door: BackDoor) -> str:
    """The URL of an empty keyspace."""
    return back_door.url
