"""The first process migrates a keyspace; a process that is too old for it refuses it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from panopticon.errors import UsageError
from storage.stores.cassandra import CassandraStore
from storage.stores.cassandra.schema import migrations
from tests.end_to_end.command import every_program, is_refused_at_the_start
from tests.servers.cassandra import CassandraNode
from tests.storage.stores.cassandra.keyspaces import TABLES, BackDoor, at_keyspace

NEWEST = migrations()[-1].version
CROWD = 6
OPEN = "import sys; from storage.stores import open_store; open_store(sys.argv[1]).registry.models()"


@pytest.fixture
def new_keyspace(cassandra_url: str) -> Iterator[BackDoor]:
    """The access to a keyspace that does not exist yet."""
    with BackDoor(at_keyspace(cassandra_url, f"panopticon_test_{uuid4().hex[:12]}")) as back_door:
        yield back_door
        back_door.run("DROP KEYSPACE IF EXISTS {}")


def use(url: str) -> None:
    with closing(CassandraStore(url)) as store:
        store.registry.models()


def tables(keyspace: BackDoor) -> set[str]:
    name = keyspace.address.keyspace
    rows = keyspace.run("SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s", name)
    return {table for (table,) in rows}


def versions(keyspace: BackDoor) -> list[tuple[int, int]]:
    return keyspace.run("SELECT version, min_code_version FROM {}.schema_state WHERE name = 'store'")


def test_a_missing_keyspace_is_refused_with_the_way_out(cassandra_url: str) -> None:
    with pytest.raises(UsageError, match=r"no keyspace 'never_made';.*add \?create=1&replication=3"):
        use(at_keyspace(cassandra_url, "never_made", options=""))


def test_more_copies_than_nodes_are_refused_with_both_numbers_and_nothing_is_created(
    cassandra_node: CassandraNode,
) -> None:
    url = at_keyspace(cassandra_node.url, "never_made", options="create=1&replication=3")
    message = r"replication=3 needs 3 nodes, and 1 is known in data centre '.+'; .* write replication=1$"
    with pytest.raises(UsageError, match=message):
        use(url)
    with pytest.raises(UsageError, match="no keyspace 'never_made'"):
        use(at_keyspace(cassandra_node.url, "never_made", options=""))


@every_program
def test_a_missing_keyspace_is_one_line_in_every_program(
    cassandra_url: str, tmp_path: Path, command: tuple[str, ...]
) -> None:
    store = at_keyspace(cassandra_url, "never_made", options="")
    is_refused_at_the_start(tmp_path, command, ("no keyspace 'never_made'", "add ?create=1"), store=store)


def test_a_new_keyspace_has_every_table_and_the_newest_version(new_keyspace: BackDoor) -> None:
    use(new_keyspace.url)
    assert tables(new_keyspace) == {*TABLES, "schema_state"}
    assert versions(new_keyspace) == [(each.version, each.min_code_version) for each in migrations()]


def test_processes_that_create_one_keyspace_at_once_do_not_disturb_each_other(new_keyspace: BackDoor) -> None:
    command = [sys.executable, "-W", "error", "-c", OPEN, new_keyspace.url]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 3
    assert tables(new_keyspace) == {*TABLES, "schema_state"}


def test_many_clients_that_create_one_keyspace_at_once_do_not_disturb_each_other(
    new_keyspace: BackDoor,
) -> None:
    """In one of four such crowds a client used a table that the node listed and had not opened yet."""
    together = threading.Barrier(CROWD)

    def open_store() -> None:
        together.wait()
        use(new_keyspace.url)

    with ThreadPoolExecutor(CROWD) as crowd:
        for opened in [crowd.submit(open_store) for _ in range(CROWD)]:
            opened.result()
    assert tables(new_keyspace) == {*TABLES, "schema_state"}


def test_a_migration_that_a_dead_process_left_half_done_is_completed(new_keyspace: BackDoor) -> None:
    use(new_keyspace.url)
    new_keyspace.run("DROP TABLE {}.registry")
    new_keyspace.run("TRUNCATE {}.schema_state")
    use(new_keyspace.url)
    assert "registry" in tables(new_keyspace)


def test_a_dropped_keyspace_can_be_created_again(new_keyspace: BackDoor) -> None:
    use(new_keyspace.url)
    new_keyspace.run("DROP KEYSPACE {}")
    use(new_keyspace.url)
    assert len(versions(new_keyspace)) == NEWEST


def test_the_lock_of_a_dead_process_lapses(new_keyspace: BackDoor) -> None:
    use(new_keyspace.url)
    new_keyspace.run("TRUNCATE {}.schema_state")
    left = "UPDATE {}.schema_state USING TTL 2 SET holder = %s WHERE name = 'store' IF holder = null"
    new_keyspace.run(left, uuid4())
    use(new_keyspace.url)
    assert len(versions(new_keyspace)) == NEWEST


def test_a_schema_that_needs_newer_code_is_refused_with_both_numbers(new_keyspace: BackDoor) -> None:
    use(new_keyspace.url)
    new_keyspace.run("INSERT INTO {}.schema_state (name, version, min_code_version) VALUES ('store', 99, 98)")
    with pytest.raises(UsageError, match=f"needs version 98 .* knows {NEWEST}; upgrade"):
        use(new_keyspace.url)


@every_program
def test_a_schema_that_needs_newer_code_is_one_line_in_every_program(
    new_keyspace: BackDoor, tmp_path: Path, command: tuple[str, ...]
) -> None:
    use(new_keyspace.url)
    new_keyspace.run("INSERT INTO {}.schema_state (name, version, min_code_version) VALUES ('store', 99, 98)")
    words = ("needs version 98", f"knows {NEWEST}", "upgrade")
    is_refused_at_the_start(tmp_path, command, words, store=new_keyspace.url)


def test_a_newer_schema_that_only_adds_columns_or_tables_is_usable(new_keyspace: BackDoor) -> None:
    use(new_keyspace.url)
    new_keyspace.run(
        "INSERT INTO {}.schema_state (name, version, min_code_version) VALUES ('store', 99, %s)", NEWEST
    )
    new_keyspace.run("ALTER TABLE {}.outputs ADD thumbnail blob")
    use(new_keyspace.url)
