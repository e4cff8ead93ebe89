"""What can be said of one index and its cluster without changing them."""

from __future__ import annotations

from collections.abc import Iterator

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Finding, Health
from storage.search.opensearch.connection import Connection
from storage.search.opensearch.indexes import Indexes

_CLUSTER = {
    "green": (Health.OK, ""),
    "yellow": (Health.WARN, "a second copy of some shard is missing: start the node that is missing"),
    "red": (Health.FAIL, "a shard is missing: start the node that has it, or restore it"),
}


def diagnose(connection: Connection, indexes: Indexes) -> list[Finding]:
    """Server, indexes, and what waits for a person. Nothing is made."""
    found: list[Finding] = []
    try:
        with indexes.noticing():
            found.extend(_server(connection, indexes))
            found.extend(_indexes(connection, indexes))
    except Unavailable as error:
        found.append(_fail("server", error.reason, "start it, or correct the setting search"))
    except UsageError as error:
        found.append(_fail("server", str(error), ""))
    return found


def _server(connection: Connection, indexes: Indexes) -> Iterator[Finding]:
    yield _ok("server", f"OpenSearch {indexes.product()} at {connection.address}")


def _indexes(connection: Connection, indexes: Indexes) -> Iterator[Finding]:
    state = indexes.look()
    if state.live is None:
        yield _warn("index", f"{indexes.alias} is not there yet", "it is made at first use", last=True)
        return
    indexes.check(state.live)
    documents = int(connection.ask("GET", f"/{indexes.alias}/_count")["count"])
    yield _ok("index", f"{state.live}, {documents:,} documents")
    yield _shards(connection, indexes)
    yield from _blocks(connection, state.live)
    if state.building is not None:
        yield _warn(
            "rebuild",
            f"into {state.building}, under way or interrupted",
            "to go on: panopticon search rebuild --ids FILE",
        )
    if former := indexes.former():
        yield _warn("former", ", ".join(former), "to delete them: panopticon search rebuild --drop-old")


def _shards(connection: Connection, indexes: Indexes) -> Finding:
    status = connection.ask("GET", f"/_cluster/health/{indexes.alias}")["status"]
    health, advice = _CLUSTER[status]
    return Finding(check="search: shards", health=health, seen=status, advice=advice)


def _blocks(connection: Connection, index: str) -> Iterator[Finding]:
    settings = connection.ask("GET", f"/{index}/_settings")[index]["settings"]["index"]
    blocked = sorted(name for name, value in settings.get("blocks", {}).items() if value == "true")
    if blocked:
        yield _fail(
            "writes",
            f"shut out by {', '.join(f'index.blocks.{name}' for name in blocked)}",
            "make room on the disks of the nodes; then set it to null, unless somebody set it on purpose",
        )


def _ok(check: str, seen: str) -> Finding:
    return Finding(check=f"search: {check}", health=Health.OK, seen=seen)


def _warn(check: str, seen: str, advice: str, *, last: bool = False) -> Finding:
    return Finding(check=f"search: {check}", health=Health.WARN, seen=seen, advice=advice, last=last)


def _fail(check: str, seen: str, advice: str) -> Finding:
    return Finding(check=f"search: {check}", health=Health.FAIL, seen=seen, advice=advice, last=True)
