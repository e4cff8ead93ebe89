"""Findings of the three kinds, in one line each: the answers of adapters that are asked for their health."""

from __future__ import annotations

from panopticon.interfaces import Finding, Health


def ok(check: str, seen: str, *, last: bool = False) -> Finding:
    """Return a finding that needs no action; `last` if nothing more can be asked of this part."""
    return Finding(check=check, health=Health.OK, seen=seen, last=last)


def warn(check: str, seen: str, advice: str, *, last: bool = False) -> Finding:
    """Return a finding about something that works and needs attention."""
    return Finding(check=check, health=Health.WARN, seen=seen, advice=advice, last=last)


def fail(check: str, seen: str, advice: str = "", *, last: bool = False) -> Finding:
    """Return a finding about something that does not work; without `advice`, `seen` names the way out."""
    return Finding(check=check, health=Health.FAIL, seen=seen, advice=advice, last=last)
