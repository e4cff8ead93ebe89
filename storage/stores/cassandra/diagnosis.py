"""The health of one keyspace and its cluster, read without changing them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC

from cassandra.cluster import Session

from panopticon.interfaces import Finding
from storage.health.clocks import compared
from storage.health.findings import fail, ok, warn
from storage.stores.cassandra.connection import CassandraTimeouts, new_cluster
from storage.stores.cassandra.errors import translated
from storage.stores.cassandra.schema import migrations
from storage.stores.cassandra.url import CassandraAddress

_SERVER = "SELECT release_version, data_center, toTimestamp(now()) FROM system.local"

_KEYSPACE = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"

_TABLE = (
    "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = 'schema_state'"
)

_STATE = "SELECT version, min_code_version FROM {keyspace}.schema_state WHERE name = 'store'"


def diagnose_keyspace(address: CassandraAddress, timeouts: CassandraTimeouts) -> list[Finding]:
    """Check server, nodes, clock, keyspace and schema over a separate connection. Migrates nothing."""
    cluster = new_cluster(address, timeouts)
    try:
        return list(_findings(cluster.connect(), address))
    except Exception as error:
        translation = translated(error, address)
        if translation is error:
            raise
        advice = "start it, or correct store in the settings"
        return [fail("store: server", str(translation), advice, last=True)]
    finally:
        cluster.shutdown()


def _findings(session: Session, address: CassandraAddress) -> Iterator[Finding]:
    release, data_centre, now = session.execute(_SERVER).one()
    yield ok("store: server", f"Cassandra {release}, data centre {data_centre}")
    theirs_s = now.replace(tzinfo=UTC).timestamp()
    yield compared("Cassandra", ours_s=time.time(), theirs_s=theirs_s)
    hosts = session.cluster.metadata.all_hosts()
    # `is_up` is None as long as the driver does not know.
    if down := sorted(str(host.address) for host in hosts if host.is_up is False):
        yield warn("store: nodes", f"down: {', '.join(down)}", "start them")
    else:
        yield ok("store: nodes", f"{len(hosts)} up")
    keyspace = session.execute(_KEYSPACE, (address.keyspace,)).one()
    if keyspace is None:
        seen = f"there is no keyspace {address.keyspace!r} yet"
        if address.create:
            yield warn("store: keyspace", seen, "it is created at first use", last=True)
        else:
            advice = "add ?create=1&replication=3 to its URL, or create it"
            yield fail("store: keyspace", seen, advice, last=True)
        return
    yield _copies(keyspace[0], len(hosts))
    yield _schema(session, address)


def _copies(replication: dict[str, str], nodes: int) -> Finding:
    factors = {key: value for key, value in replication.items() if key != "class"}
    seen = ", ".join(f"{value} in {key}" for key, value in sorted(factors.items()))
    # A single copy on one node is a choice; among several nodes it is a mistake.
    if nodes > 1 and set(factors.values()) == {"1"}:
        advice = "ALTER KEYSPACE … WITH replication, then repair: one node down stops everything"
        return warn("store: copies", seen, advice)
    return ok("store: copies", seen)


def _schema(session: Session, address: CassandraAddress) -> Finding:
    known = migrations()
    table = session.execute(_TABLE, (address.keyspace,)).one()
    rows = session.execute(_STATE.format(keyspace=address.keyspace)).all() if table else []
    applied = {version: needed for version, needed in rows if version is not None}
    found, needed = max(applied, default=0), max(applied.values(), default=0)
    if needed > known[-1].version:
        seen = f"version {found} needs a program that knows {needed}, this one knows {known[-1].version}"
        return fail("store: schema", seen, "upgrade panopticon", last=True)
    if any(migration.version not in applied for migration in known):
        # Any further question would use the keyspace, and so migrate it.
        return ok(
            "store: schema", f"version {found}; the next use migrates it to {known[-1].version}", last=True
        )
    return ok("store: schema", f"version {found}")
