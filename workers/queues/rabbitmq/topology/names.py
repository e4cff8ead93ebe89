"""What exchanges, queues, routing keys and headers are called. Upload services rely on the first four."""

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
UNROUTED = "panopticon.unrouted"
UNDELIVERABLE = "panopticon.undeliverable"
CATALOGUE = {Lane.LIVE: "panopticon.catalogue", Lane.BACKFILL: "panopticon.catalogue.backfill"}
SEARCH = {lane: f"panopticon.search.{lane}" for lane in Lane}
RETRY_QUEUE_PREFIX = "panopticon.retry."

ATTEMPT = "x-panopticon-attempt"
"""Attempts spent, in the header of what was in a retry queue."""

_MODEL_QUEUE = re.compile(r"panopticon\.([a-z][a-z0-9]{0,31})\.([1-9][0-9]{0,9})(?:\.(?:live|backfill))?")

_RETRY_QUEUE = re.compile(r"panopticon\.retry\.(\d+(?:\.\d+)?(?:e[+-]\d+)?)s")


def exchange_of(version: VersionName) -> str:
    """Between the uploads and the version's queues."""
    return f"panopticon.{version.model}.{version.version}"


def queues_of(version: VersionName) -> Mapping[Lane, str]:
    return {lane: f"{exchange_of(version)}.{lane}" for lane in Lane}


def version_of(name: str) -> VersionName | None:
    """Whose exchange or queue this is; None if no model version's."""
    found = _MODEL_QUEUE.fullmatch(name)
    return VersionName(model=found[1], version=int(found[2])) if found else None


def retry_queue_delay_s(name: str) -> float | None:
    """How long a message waits there; None if this is no retry queue."""
    found = _RETRY_QUEUE.fullmatch(name)
    return float(found[1]) if found else None


def retry_queue_of(delay_s: float) -> str:
    """Exchange and queue alike, such as `panopticon.retry.10s`."""
    return f"{RETRY_QUEUE_PREFIX}{delay_s:g}s"
