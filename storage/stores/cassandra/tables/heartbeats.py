"""The heartbeats of processes in Cassandra."""

from __future__ import annotations

from hashlib import blake2b

from panopticon.registry.heartbeats import Heartbeat, decode_heartbeat, encode_heartbeat
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import GET_HEARTBEATS, PUT_HEARTBEAT
from storage.stores.heartbeat_order import running

BUCKETS = 16
"""Partitions over which the hosts are spread, so that all can be listed by a few reads."""


class CassandraHeartbeats:
    """A `Heartbeats`. Rows expire by their time to live, so that nothing is ever deleted."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._last_us = 0

    def put(self, heartbeat: Heartbeat) -> None:
        # The timestamp grows even if the clock is set back, or the heartbeat would lose against earlier ones.
        self._last_us = max(heartbeat.at_ms * 1000, self._last_us + 1)
        row = (_bucket(heartbeat.host), heartbeat.host, heartbeat.pid, encode_heartbeat(heartbeat))
        self._session.write_each(PUT_HEARTBEAT, [(*row, self._last_us)])

    def alive(self, *, now_ms: int) -> list[Heartbeat]:
        found = self._session.rows_of_each(GET_HEARTBEATS, [(bucket,) for bucket in range(BUCKETS)])
        return running((decode_heartbeat(entry) for rows in found for (entry,) in rows), now_ms=now_ms)


def _bucket(host: str) -> int:
    return blake2b(host.encode(), digest_size=1).digest()[0] % BUCKETS
