"""What can be said of one keyspace without changing it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC

from cassandra.cluster import Session

from panopticon.interfaces import Finding, Health
from storage.health.clocks import compared
from storage.stores.cassandra.connection import Timeouts, new_cluster
from storage.stores.cassandra.errors import translated
from storage.stores.cassandra.schema import migrations
from storage.stores.cassandra.url import Address

_SERVER = "SELECT release_version, data_center, toTimestamp(now()) FROM system.local"

_KEYSPACE = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"

_TABLE = (
    "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = 'schema_state'"
)

_STATE = "SELECT version, min_code_version FROM {keyspace}.schema_state WHERE name = 'store'"


def diagnose_keyspace(address: Address, timeouts: Timeouts) -> list[Finding]:
    """Server, nodes, clock, keyspace and schema, over a connection of its own. Migrates nothing."""
    cluster = new_cluster(address, timeouts)
    try:
        return list(_looked_at(cluster.connect(), address))
    except Exception as error:
        verdict = translated(error, address)
        if verdict is error:
            raise
        advice = "start it, or correct store in the settings"
        return [_finding("server", Health.FAIL, str(verdict), advice, last=True)]
    finally:
        cluster.shutdown()


def _looked_at(session: Session, address: Address) -> Iterator[Finding]:
    release, data_centre, now = session.execute(_SERVER).one()
    yield _finding("server", Health.OK, f"Cassandra {release}, data centre {data_centre}")
    theirs_s = now.replace(tzinfo=UTC).timestamp()
    yield compared("Cassandra", ours_s=time.time(), theirs_s=theirs_s)
    yield _nodes(session)
    keyspace = session.execute(_KEYSPACE, (address.keyspace,)).one()
    if keyspace is None:
        yield _no_keyspace(address)
        return
    yield _copies(keyspace[0], len(session.cluster.metadata.all_hosts()))
    yield _schema(session, address)


def _nodes(session: Session) -> Finding:
    hosts = session.cluster.metadata.all_hosts()
    down = sorted(str(host.address) for host in hosts if host.is_up is False)
    if down:
        return _finding("nodes", Health.WARN, f"down: {', '.join(down)}", "start them")
    return _finding("nodes", Health.OK, f"{len(hosts)} up")


def _no_keyspace(address: Address) -> Finding:
    seen = f"there is no keyspace {address.keyspace!r} yet"
    if address.create:
        return _finding("keyspace", Health.WARN, seen, "it is made at first use", last=True)
    return _finding("keyspace", Health.FAIL, seen, "make it, or add ?create=1&replication=3", last=True)


def _copies(replication: dict[str, str], nodes: int) -> Finding:
    """A single copy on one node is what was chosen; among several nodes it is a slip."""
    factors = {key: value for key, value in replication.items() if key != "class"}
    seen = ", ".join(f"{value} in {key}" for key, value in sorted(factors.items()))
    if nodes > 1 and set(factors.values()) == {"1"}:
        advice = "ALTER KEYSPACE … WITH replication, then repair: one node down stops everything"
        return _finding("copies", Health.WARN, seen, advice)
    return _finding("copies", Health.OK, seen)


def _schema(session: Session, address: Address) -> Finding:
    """The last that is asked of one that lacks migrations: any use would apply them."""
    known = migrations()
    there = session.execute(_TABLE, (address.keyspace,)).one()
    rows = session.execute(_STATE.format(keyspace=address.keyspace)).all() if there else []
    applied = {version: needed for version, needed in rows if version is not None}
    found, needed = max(applied, default=0), max(applied.values(), default=0)
    if needed > known[-1].version:
        seen = f"version {found} needs a program that knows {needed}, this one knows {known[-1].version}"
        return _finding("schema", Health.FAIL, seen, "upgrade panopticon", last=True)
    if any(migration.version not in applied for migration in known):
        seen = f"version {found}; the next use makes it {known[-1].version}"
        return _finding("schema", Health.OK, seen, last=True)
    return _finding("schema", Health.OK, f"version {found}")


def _finding(check: str, health: Health, seen: str, advice: str = "", *, last: bool = False) -> Finding:
    return Finding(check=f"store: {check}", health=health, seen=seen, advice=advice, last=last)
