"""The limits of connections, and the state that all connections of a service share."""

from __future__ import annotations

from dataclasses import dataclass

from panopticon.metrics import Metrics
from panopticon.settings import Settings

DRAIN_BYTES = 64 * 1024
"""Bytes that are still read, and thrown away, from a client that was answered before its body was read."""

DRAIN_S = 2.0
"""Time in which a client that was answered early may send them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """The limits of one connection, and of their number."""

    header_timeout_s: float
    keep_alive_s: float
    read_answer_s: float
    """Time in which a client has to read on, once it has stopped reading its answer."""
    max_header_bytes: int
    max_connections: int
    max_pipelined: int = 16
    """Requests that wait on one connection for the answers before theirs."""

    @classmethod
    def of(cls, settings: Settings) -> EdgeLimits:
        """Return the limits that the settings name."""
        return cls(
            header_timeout_s=settings.header_timeout_s,
            keep_alive_s=settings.keep_alive_s,
            read_answer_s=settings.body_timeout_s,
            max_header_bytes=settings.max_header_bytes,
            max_connections=settings.max_connections,
        )


@dataclass(slots=True, kw_only=True)
class Edge:
    """The state that all connections of one service share."""

    limits: EdgeLimits
    metrics: Metrics
    draining: bool = False
    """While it is true, every answer is the last one on its connection."""

    def refused(self, slug: str) -> None:
        """Count a connection or a request that is refused before the application sees it."""
        self.metrics.count("panopticon_http_refused_total", problem=slug)
