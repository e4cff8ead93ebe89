"""The health of one search index and its cluster, read without changing them."""

from __future__ import annotations

from collections.abc import Iterator

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Finding
from storage.health.findings import fail, ok, warn
from storage.search.missing import CREATED_OR_REBUILT, REBUILD
from storage.search.opensearch.connection import OpenSearchConnection
from storage.search.opensearch.index_lifecycle import IndexLifecycle


def diagnose(connection: OpenSearchConnection, lifecycle: IndexLifecycle) -> list[Finding]:
    """Check the server, the indexes, and work that waits for an operator. Creates nothing."""
    found: list[Finding] = []
    try:
        with lifecycle.noticing():
            found.append(ok("search: server", f"OpenSearch {lifecycle.product()} at {connection.address}"))
            found.extend(_indexes(connection, lifecycle))
    except Unavailable as error:
        advice = "start it, or correct the setting search"
        found.append(fail("search: server", error.reason, advice, last=True))
    except UsageError as error:
        found.append(fail("search: server", str(error), last=True))
    return found


def _indexes(connection: OpenSearchConnection, lifecycle: IndexLifecycle) -> Iterator[Finding]:
    state = lifecycle.look()
    if state.live is None:
        seen = f"{lifecycle.alias} does not exist"
        if state.building is not None:
            advice = f"to continue its rebuild into {state.building}: {REBUILD}"
        else:
            advice = CREATED_OR_REBUILT
        yield warn("search: index", seen, advice, last=True)
        return
    lifecycle.check(state.live)
    documents = lifecycle.documents(lifecycle.alias)
    yield ok("search: index", f"{state.live}, {documents:,} documents")
    yield _shards(connection, lifecycle)
    yield from _blocks(connection, state.live)
    if state.building is not None:
        seen = f"into {state.building}, under way or interrupted"
        yield warn("search: rebuild", seen, f"to continue: {REBUILD}")
    if former := lifecycle.former():
        advice = "to delete them: panopticon search rebuild --drop-old"
        yield warn("search: former", ", ".join(former), advice)


def _shards(connection: OpenSearchConnection, lifecycle: IndexLifecycle) -> Finding:
    status = connection.ask("GET", f"/_cluster/health/{lifecycle.alias}")["status"]
    if status == "green":
        return ok("search: shards", status)
    if status == "yellow":
        advice = "a second copy of some shard is missing: start the node that is missing"
        return warn("search: shards", status, advice)
    return fail("search: shards", status, "a shard is missing: start the node that has it, or restore it")


def _blocks(connection: OpenSearchConnection, index: str) -> Iterator[Finding]:
    settings = connection.ask("GET", f"/{index}/_settings")[index]["settings"]["index"]
    blocked = sorted(name for name, value in settings.get("blocks", {}).items() if value == "true")
    if blocked:
        yield fail(
            "search: writes",
            f"blocked by {', '.join(f'index.blocks.{name}' for name in blocked)}",
            "make room on the disks of the nodes; then set it to null, unless somebody set it on purpose",
            last=True,
        )
