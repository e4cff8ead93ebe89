"""Counts of the messages of one consumer's queues."""

from __future__ import annotations

from collections.abc import Mapping

from panopticon.interfaces import Depth
from panopticon.messages import Lane

Depths = Mapping[Lane, Depth]


HOPS = 2
"""Queues that an image goes through: its model's, then that of the results. So where all were empty so many
times and once more, each a broker's `depth_lag_s` apart, nothing of what was there before is under way."""


def total(depths: Depths) -> int:
    """Messages of both lanes in any state."""
    return sum(depth.total for depth in depths.values())
