"""Constructors of findings: healthy, in need of a look, and broken."""

from __future__ import annotations

from panopticon.interfaces import Finding, Health


def ok(check: str, seen: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(check=check, health=Health.OK, seen=seen)


def warn(check: str, seen: str, advice: str) -> Finding:
    """Return a finding that needs a look although it works."""
    return Finding(check=check, health=Health.WARN, seen=seen, advice=advice)


def fail(check: str, seen: str, advice: str) -> Finding:
    """Return a finding that has to be repaired."""
    return Finding(check=check, health=Health.FAIL, seen=seen, advice=advice)
