"""The schema of the keyspace, migrated in numbered steps under a lock.

A migration names the oldest code that can use the schema it leaves. Code that knows fewer migrations than
the keyspace has keeps working, unless it is older than that.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import TypeVar
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from cassandra import ConsistencyLevel
from cassandra.cluster import Session
from cassandra.query import SimpleStatement

from panopticon.errors import Unavailable, UsageError
from storage.stores.cassandra.errors import PART, is_not_open_yet, is_unknown
from storage.stores.cassandra.url import CassandraAddress
from storage.stores.cassandra.window import Row

CHANGE_S = 30.0
"""The longest time for one change of the schema."""
LOCK_S = 60
"""The time after which the lock of a dead process is free; a lock is renewed before each change."""
LOCK_WAIT_S = 90.0
OPEN_WAIT_S = 10.0
POLL_S = 0.1

T = TypeVar("T")

_KEYSPACE = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s"

_TABLE = (
    "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = 'schema_state'"
)

_CREATE_KEYSPACE = """CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication =
{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication}}}"""

# The table of the lock is created before there can be a lock. Its fixed ID keeps two processes that create
# it at the same time, through different nodes, from creating two tables.
_CREATE_TABLE = """CREATE TABLE IF NOT EXISTS {keyspace}.schema_state (
    name text,
    version int,
    min_code_version int,
    holder uuid static,
    PRIMARY KEY ((name), version)
) WITH id = {table_id}"""

_COLUMNS = (
    "SELECT table_name, column_name, kind, position FROM system_schema.columns WHERE keyspace_name = %s"
)

# A read of one token, so that it costs the same however many rows there are.
_ANSWERS = "SELECT {key} FROM {table} WHERE token({key}) = 0 LIMIT 1"

_STATE = "SELECT version, min_code_version FROM schema_state WHERE name = 'store'"

_RECORD = "INSERT INTO schema_state (name, version, min_code_version) VALUES ('store', %s, %s)"

_TAKE = "UPDATE schema_state USING TTL %s SET holder = %s WHERE name = 'store' IF holder = null"

_RENEW = "UPDATE schema_state USING TTL %s SET holder = %s WHERE name = 'store' IF holder = %s"

_RELEASE = "UPDATE schema_state SET holder = null WHERE name = 'store' IF holder = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered script of statements."""

    version: int
    min_code_version: int
    """The oldest code, by the number of its last migration, that can use the schema after this one."""
    statements: tuple[str, ...]


def migrations() -> tuple[Migration, ...]:
    """Return all migrations that this code knows, in order."""
    folder = resources.files("storage.stores.cassandra") / "migrations"
    files = {file.name: file for file in folder.iterdir() if file.name.endswith(".cql")}
    return tuple(parse_migration(name, files[name].read_text("utf-8")) for name in sorted(files))


def parse_migration(name: str, text: str) -> Migration:
    """Parse a script. Raises: ValueError for one without a line such as `-- min_code_version: 1`.

    `name`: the file name, such as `0001_store.cql`.
    """
    needed = re.search(r"^-- min_code_version: (\d+)$", text, re.MULTILINE)
    if needed is None:
        raise ValueError(f"{name} names no min_code_version")
    parts = [part.strip() for part in re.sub(r"--.*", "", text).split(";")]
    return Migration(
        version=int(name.partition("_")[0]),
        min_code_version=int(needed[1]),
        statements=tuple(part for part in parts if part),
    )


def prepare_keyspace(session: Session, address: CassandraAddress) -> None:
    """Select the keyspace and apply missing migrations. Repeated and simultaneous calls are harmless. If the
    URL asks to create the keyspace, every table answers when this returns.

    Raises: UsageError for a keyspace that is missing, needs more nodes, or is too new for this code;
    Unavailable if another process holds the lock for too long.
    """
    _create_keyspace(session, address)
    once_open(lambda: session.set_keyspace(address.keyspace))
    if not _read(session, _TABLE, address.keyspace):
        table_id = uuid5(NAMESPACE_URL, f"panopticon:{address.keyspace}.schema_state")
        _change(session, _CREATE_TABLE.format(keyspace=address.keyspace, table_id=table_id))
    known = migrations()
    until_s = time.monotonic() + LOCK_WAIT_S
    while missing := _missing(session, address, known):
        if time.monotonic() > until_s:
            raise Unavailable(PART, f"{address}: another process is changing the schema")
        with _lock(session) as holder:
            if holder is None:
                time.sleep(POLL_S)
            else:
                _apply(session, missing[0], holder)
    if address.create:
        _wait_until_open(session, address)


def _create_keyspace(session: Session, address: CassandraAddress) -> None:
    if _read(session, _KEYSPACE, address.keyspace):
        return
    if not address.create:
        raise UsageError(
            f"store {address}: there is no keyspace {address.keyspace!r};"
            " create it, or add ?create=1&replication=3 to the URL, which creates it"
        )
    _check_nodes(session, address)
    _change(session, _CREATE_KEYSPACE.format(keyspace=address.keyspace, replication=address.replication))


def _check_nodes(session: Session, address: CassandraAddress) -> None:
    """Raise: UsageError if a data centre has fewer nodes, up or down, than the copies it is to hold."""
    # The server creates such a keyspace with a warning, and then refuses every quorum read of it.
    nodes = Counter(host.datacenter for host in session.cluster.metadata.all_hosts())
    data_centre, known = min(nodes.items(), key=lambda each: each[1])
    if known < address.replication:
        raise UsageError(
            f"store {address}: replication={address.replication} needs {address.replication} nodes,"
            f" and {known} is known in data centre {data_centre!r}; start the others first, or write"
            f" replication={known}"
        )


def _missing(session: Session, address: CassandraAddress, known: Sequence[Migration]) -> list[Migration]:
    rows = [row for row in once_open(lambda: _read(session, _STATE)) if row[0] is not None]
    needed = max((min_code_version for _, min_code_version in rows), default=0)
    if needed > known[-1].version:
        raise UsageError(
            f"store {address}: its schema needs version {needed} of this program's schema,"
            f" which knows {known[-1].version}; upgrade panopticon"
        )
    applied = {version for version, _ in rows}
    return [migration for migration in known if migration.version not in applied]


def _wait_until_open(session: Session, address: CassandraAddress) -> None:
    """Return once every table of the keyspace answers: another process may have created it just now."""
    keys: dict[str, dict[int, str]] = {}
    for table, column, kind, position in _read(session, _COLUMNS, address.keyspace):
        if kind == "partition_key":
            keys.setdefault(table, {})[position] = column
    for table, columns in keys.items():
        key = ", ".join(columns[position] for position in sorted(columns))
        once_open(partial(_read, session, _ANSWERS.format(table=table, key=key)))


@contextmanager
def _lock(session: Session) -> Iterator[UUID | None]:
    """Yield the ID of the lock while it is held, or None if another process holds it."""
    holder = uuid4()
    try:
        is_held = _decide(session, _TAKE, LOCK_S, holder)
    except Exception as error:
        if not is_unknown(error):
            raise
        # Among many processes an answer may not come in time; only the holder can renew the lock.
        is_held = _decide(session, _RENEW, LOCK_S, holder, holder)
    if not is_held:
        yield None
        return
    try:
        yield holder
    finally:
        _decide(session, _RELEASE, holder)


def _apply(session: Session, migration: Migration, holder: UUID) -> None:
    # If the lock was lost, its new holder applies the same migration: statements that were executed already
    # are harmless to repeat.
    for statement in migration.statements:
        if not _decide(session, _RENEW, LOCK_S, holder, holder):
            return
        _change(session, statement)
    record = SimpleStatement(_RECORD, consistency_level=ConsistencyLevel.QUORUM)
    session.execute(record, (migration.version, migration.min_code_version))


def _change(session: Session, statement: str) -> None:
    result = session.execute(statement, timeout=CHANGE_S)
    if not result.response_future.is_schema_agreed:
        raise Unavailable(PART, "the nodes of the cluster do not agree on the schema yet")


def once_open(use: Callable[[], T]) -> T:
    """Return the result of `use`, repeated for at most `OPEN_WAIT_S` while what it uses is not open yet.

    A node lists a keyspace or table that another client creates a moment before it can be used.
    """
    until_s = time.monotonic() + OPEN_WAIT_S
    while True:
        try:
            return use()
        except Exception as error:
            if time.monotonic() > until_s or not is_not_open_yet(error):
                raise
            time.sleep(POLL_S)


def _read(session: Session, statement: str, *values: object) -> list[Row]:
    return list(session.execute(statement, values))


def _decide(session: Session, statement: str, *values: object) -> bool:
    # All data centres decide together: a lock in one of them would not exclude the others.
    everywhere = SimpleStatement(
        statement,
        consistency_level=ConsistencyLevel.QUORUM,
        serial_consistency_level=ConsistencyLevel.SERIAL,
    )
    return bool(session.execute(everywhere, values).was_applied)
