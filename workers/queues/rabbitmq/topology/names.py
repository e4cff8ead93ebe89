"""The names of exchanges, queues, routing keys and headers.

Upload services rely on the first four, so these must not change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from panopticon.messages import Lane
from panopticon.results.outputs import VersionName

UPLOADS = "panopticon.uploads"
RESULTS = "panopticon.results"
UPLOADED = {Lane.LIVE: "image.uploaded", Lane.BACKFILL: "backfill.uploaded"}
DELETED = {Lane.LIVE: "image.deleted", Lane.BACKFILL: "backfill.deleted"}

RESULT = {Lane.LIVE: "result.live", Lane.BACKFILL: "result.backfill"}
MODEL_EVENT = "event.model"
DOWNSTREAM = "result.downstream"
"""The routing key of the indexer's messages for other consumers of results."""
UNROUTED = "panopticon.unrouted"
UNDELIVERABLE = "panopticon.undeliverable"
CATALOGUE = {Lane.LIVE: "panopticon.catalogue", Lane.BACKFILL: "panopticon.catalogue.backfill"}
SEARCH = {lane: f"panopticon.search.{lane}" for lane in Lane}
RETRY_QUEUE_PREFIX = "panopticon.retry."

ATTEMPT = "x-panopticon-attempt"
"""The header that holds the attempts spent, on messages that were in a retry queue."""

_MODEL_QUEUE = re.compile(r"panopticon\.([a-z][a-z0-9]{0,31})\.([1-9][0-9]{0,9})(?:\.(?:live|backfill))?")

_RETRY_QUEUE = re.compile(r"panopticon\.retry\.(\d+(?:\.\d+)?(?:e[+-]\d+)?)s")


def exchange_of(version: VersionName) -> str:
    """Return the name of the exchange between the uploads and the version's queues."""
    return f"panopticon.{version.model}.{version.version}"


def queues_of(version: VersionName) -> Mapping[Lane, str]:
    """Return the names of the version's queues, by lane."""
    return {lane: f"{exchange_of(version)}.{lane}" for lane in Lane}


def version_of(name: str) -> VersionName | None:
    """Return the model version that an exchange or a queue belongs to, if it belongs to one."""
    found = _MODEL_QUEUE.fullmatch(name)
    return VersionName(model=found[1], version=int(found[2])) if found else None


def retry_queue_delay_s(name: str) -> float | None:
    """Return how long messages wait in this queue; None unless it is a retry queue."""
    found = _RETRY_QUEUE.fullmatch(name)
    return float(found[1]) if found else None


def retry_queue_of(delay_s: float) -> str:
    """Return the name of a retry exchange and its queue, such as `panopticon.retry.10s`."""
    return f"{RETRY_QUEUE_PREFIX}{delay_s:g}s"
