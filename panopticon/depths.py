"""Counts of the messages of one consumer's queues."""

from __future__ import annotations

from collections.abc import Mapping

from panopticon.interfaces import Depth
from panopticon.messages import Lane

Depths = Mapping[Lane, Depth]

HOPS = 2
"""Queues that an image goes through: its model's queue, then the results queue.

Once all of them were empty in `HOPS` + 1 readings, each a broker's `depth_lag_s` apart, no message from
before the first reading is still in transit."""


def total(depths: Depths) -> int:
    """Return the number of messages of both lanes, in any state."""
    return sum(depth.total for depth in depths.values())


def at_work(depths: Depths) -> int:
    """Return the number of messages of both lanes that are ready or leased."""
    return sum(depth.ready + depth.leased for depth in depths.values())


def delayed(depths: Depths) -> int:
    """Return the number of messages of both lanes that wait on a retry delay."""
    return sum(depth.retrying for depth in depths.values())
