"""What every store has to make of a failure before it keeps it."""

from __future__ import annotations

from datetime import UTC, datetime


def day_of(moment_ms: int) -> str:
    """The UTC day of a moment in milliseconds since 1970: `2026-11-21`."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).date().isoformat()


def storable(text: str) -> str:
    """A detail may quote a file name that is no Unicode; that must not cost the failure."""
    return text.encode("utf-8", "backslashreplace").decode()
