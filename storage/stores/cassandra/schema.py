"""The keyspace, brought up to date by numbered migrations under a lock.

A migration names the oldest code that can work with what it leaves. Code that knows less than the keyspace
has works on, unless it is older than that.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TypeVar
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.cluster import Session
from cassandra.query import SimpleStatement

from panopticon.errors import Unavailable, UsageError
from storage.stores.cassandra.errors import PART
from storage.stores.cassandra.url import CassandraAddress
from storage.stores.cassandra.window import Row

CHANGE_S = 30.0
"""How long one change of the schema may take."""
LOCK_S = 60
"""After that the lock of a process that died is free; it is renewed before each change."""
LOCK_WAIT_S = 90.0
OPEN_WAIT_S = 10.0
POLL_S = 0.1

T = TypeVar("T")

_KEYSPACE = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s"

_TABLE = (
    "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = 'schema_state'"
)

_MAKE_KEYSPACE = """CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication =
{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication}}}"""

# Nobody can hold a lock yet when the table of the lock is made: an ID that all agree on keeps two who make
# it at once, each at another node, from making two tables.
_MAKE_TABLE = """CREATE TABLE IF NOT EXISTS {keyspace}.schema_state (
    name text,
    version int,
    min_code_version int,
    holder uuid static,
    PRIMARY KEY ((name), version)
) WITH id = {table_id}"""

_STATE = "SELECT version, min_code_version FROM schema_state WHERE name = 'store'"

_RECORD = "INSERT INTO schema_state (name, version, min_code_version) VALUES ('store', %s, %s)"

_TAKE = "UPDATE schema_state USING TTL %s SET holder = %s WHERE name = 'store' IF holder = null"

_RENEW = "UPDATE schema_state USING TTL %s SET holder = %s WHERE name = 'store' IF holder = %s"

_RELEASE = "UPDATE schema_state SET holder = null WHERE name = 'store' IF holder = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered script."""

    version: int
    min_code_version: int
    """The oldest code, by the number of its last migration, that works with what this one leaves."""
    statements: tuple[str, ...]


def migrations() -> tuple[Migration, ...]:
    """All that this code knows, in order."""
    folder = resources.files("storage.stores.cassandra") / "migrations"
    files = {file.name: file for file in folder.iterdir() if file.name.endswith(".cql")}
    return tuple(parse_migration(name, files[name].read_text("utf-8")) for name in sorted(files))


def parse_migration(name: str, text: str) -> Migration:
    """`name`: such as `0001_store.cql`. Its text says `-- min_code_version: 1`."""
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
    """Use the keyspace, with every migration applied. Repeating, and several at once, are harmless.

    Raises: UsageError for a keyspace that is missing, or too new for this code.
    """
    _make_keyspace(session, address)
    once_open(lambda: session.set_keyspace(address.keyspace))
    if not _read(session, _TABLE, address.keyspace):
        table_id = uuid5(NAMESPACE_URL, f"panopticon:{address.keyspace}.schema_state")
        _change(session, _MAKE_TABLE.format(keyspace=address.keyspace, table_id=table_id))
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


def _make_keyspace(session: Session, address: CassandraAddress) -> None:
    if _read(session, _KEYSPACE, address.keyspace):
        return
    if not address.create:
        raise UsageError(
            f"store {address}: there is no keyspace {address.keyspace!r};"
            " make it, or let it be made: add ?create=1&replication=3 to the URL"
        )
    _change(session, _MAKE_KEYSPACE.format(keyspace=address.keyspace, replication=address.replication))


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


@contextmanager
def _lock(session: Session) -> Iterator[UUID | None]:
    """Who holds it now; None if another does."""
    holder = uuid4()
    if not _decide(session, _TAKE, LOCK_S, holder):
        yield None
        return
    try:
        yield holder
    finally:
        _decide(session, _RELEASE, holder)


def _apply(session: Session, migration: Migration, holder: UUID) -> None:
    """Ends early if the lock was lost: what was done is found done by whoever has it now."""
    for statement in migration.statements:
        if not _decide(session, _RENEW, LOCK_S, holder, holder):
            return
        _change(session, statement)
    _write(session, _RECORD, migration.version, migration.min_code_version)


def _change(session: Session, statement: str) -> None:
    result = session.execute(statement, timeout=CHANGE_S)
    if not result.response_future.is_schema_agreed:
        raise Unavailable(PART, "the nodes of the cluster do not agree on the schema yet")


def once_open(use: Callable[[], T]) -> T:
    """A node lists what another client has just made a moment before it can be used."""
    until_s = time.monotonic() + OPEN_WAIT_S
    while True:
        try:
            return use()
        except InvalidRequest:
            if time.monotonic() > until_s:
                raise
            time.sleep(POLL_S)


def _read(session: Session, statement: str, *values: object) -> list[Row]:
    return list(session.execute(statement, values))


def _write(session: Session, statement: str, *values: object) -> None:
    session.execute(SimpleStatement(statement, consistency_level=ConsistencyLevel.QUORUM), values)


def _decide(session: Session, statement: str, *values: object) -> bool:
    """Among all data centres: a lock of one of them would keep nobody out."""
    everywhere = SimpleStatement(
        statement,
        consistency_level=ConsistencyLevel.QUORUM,
        serial_consistency_level=ConsistencyLevel.SERIAL,
    )
    return bool(session.execute(everywhere, values).was_applied)
