"""The heartbeats of processes in SQLite."""

from __future__ import annotations

from panopticon.registry.heartbeats import ALIVE_S, Heartbeat, decode_heartbeat, encode_heartbeat
from storage.sqlite.database import SqliteDatabase
from storage.stores.heartbeat_order import running

_PUT = "INSERT OR REPLACE INTO heartbeats (host, pid, at_ms, entry) VALUES (?, ?, ?, ?)"

# A time in the future is also one of a process that is gone: the clock was set back since.
_FORGET = "DELETE FROM heartbeats WHERE at_ms NOT BETWEEN ? AND ?"

_ALL = "SELECT entry FROM heartbeats"


class SqliteHeartbeats:
    """A `Heartbeats`. Each heartbeat deletes those of processes that are gone."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def put(self, heartbeat: Heartbeat) -> None:
        row = (heartbeat.host, heartbeat.pid, heartbeat.at_ms, encode_heartbeat(heartbeat))
        alive_ms = int(ALIVE_S * 1000)
        with self._database.writing() as connection:
            connection.execute(_PUT, row)
            connection.execute(_FORGET, (heartbeat.at_ms - alive_ms, heartbeat.at_ms + alive_ms))

    def alive(self, *, now_ms: int) -> list[Heartbeat]:
        with self._database.reading() as connection:
            entries = [entry for (entry,) in connection.execute(_ALL)]
        return running(map(decode_heartbeat, entries), now_ms=now_ms)
