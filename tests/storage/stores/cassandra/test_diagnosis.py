"""The findings about a keyspace, which the diagnosis does not change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from panopticon.interfaces import Diagnosable, Finding, Health
from storage.stores.cassandra import CassandraStore
from storage.stores.cassandra.connection import CassandraTimeouts
from storage.stores.cassandra.schema import migrations
from tests.storage.stores.cassandra.keyspaces import BackDoor, at_keyspace

NEWEST = migrations()[-1].version


@pytest.fixture
def new_keyspace(cassandra_url: str) -> Iterator[BackDoor]:
    """The access to a keyspace that does not exist yet."""
    with BackDoor(at_keyspace(cassandra_url, f"panopticon_test_{uuid4().hex[:12]}")) as back_door:
        yield back_door
        back_door.run("DROP KEYSPACE IF EXISTS {}")


def diagnose(url: str) -> dict[str, Finding]:
    with closing(CassandraStore(url, timeouts=CassandraTimeouts(connect_s=10.0))) as store:
        assert isinstance(store, Diagnosable)
        return {finding.check: finding for finding in store.diagnose()}


def healths(url: str) -> dict[str, tuple[Health, bool]]:
    return {check: (finding.health, finding.last) for check, finding in diagnose(url).items()}


def test_a_keyspace_in_use_is_healthy(store_url: str) -> None:
    assert healths(store_url) == {
        "store: server": (Health.OK, False),
        "clock: Cassandra": (Health.OK, False),
        "store: nodes": (Health.OK, False),
        "store: copies": (Health.OK, False),
        "store: schema": (Health.OK, False),
    }
    assert diagnose(store_url)["store: schema"].seen == f"version {NEWEST}"


def test_a_keyspace_that_the_first_use_creates_is_a_warning_and_is_not_created(
    new_keyspace: BackDoor,
) -> None:
    assert healths(new_keyspace.url)["store: keyspace"] == (Health.WARN, True)
    name = new_keyspace.address.keyspace
    assert new_keyspace.run("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = %s", name) == []


def test_a_missing_keyspace_that_nothing_creates_fails(cassandra_url: str) -> None:
    assert healths(at_keyspace(cassandra_url, "never_made", options=""))["store: keyspace"] == (
        Health.FAIL,
        True,
    )


def test_an_empty_keyspace_is_reported_and_not_migrated(new_keyspace: BackDoor) -> None:
    new_keyspace.run(
        "CREATE KEYSPACE {} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}".replace(
            "{}", new_keyspace.address.keyspace, 1
        )
    )
    schema = diagnose(new_keyspace.url)["store: schema"]
    assert (schema.seen, schema.last) == (f"version 0; the next use migrates it to {NEWEST}", True)
    name = new_keyspace.address.keyspace
    assert new_keyspace.run("SELECT * FROM system_schema.tables WHERE keyspace_name = %s", name) == []


def test_a_schema_too_new_for_this_code_fails(new_keyspace: BackDoor) -> None:
    with closing(CassandraStore(new_keyspace.url)) as store:
        store.registry.models()
    new_keyspace.run(
        "INSERT INTO {}.schema_state (name, version, min_code_version) VALUES ('store', 999, 999)"
    )
    schema = diagnose(new_keyspace.url)["store: schema"]
    assert (schema.health, schema.last, schema.advice) == (Health.FAIL, True, "upgrade panopticon")


def test_a_cluster_that_does_not_answer_fails_without_quoting_the_password() -> None:
    (finding,) = diagnose("cassandra://ann:s3cr3t@127.0.0.1:9/photos").values()
    assert (finding.check, finding.health, finding.last) == ("store: server", Health.FAIL, True)
    assert "s3cr3t" not in finding.seen + finding.advice
