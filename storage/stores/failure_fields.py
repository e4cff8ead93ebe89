"""Fields of a failure that every store derives before it stores the failure."""

from __future__ import annotations

from datetime import UTC, datetime

from panopticon.results.outputs import Failure, FailureState


def day_of(moment_ms: int) -> str:
    """Return the UTC day of a moment in milliseconds since 1970, such as `2026-11-21`."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).date().isoformat()


def listed_day_of(failure: Failure) -> str:
    """Return the UTC day in whose list a failure is; empty for one that is in no list."""
    return "" if failure.state is FailureState.RETRYING else day_of(failure.last_at_ms)


def storable(text: str) -> str:
    """Return text that can be encoded in UTF-8, with escapes for what cannot.

    A detail may quote a file name that is not Unicode; the failure must be stored all the same.
    """
    return text.encode("utf-8", "backslashreplace").decode()
