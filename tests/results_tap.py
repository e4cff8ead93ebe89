"""A copy of every message that reaches the queue of results in an SQLite file.

The file has no exchange to which a second consumer could bind a queue of its own.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

_TAP = """
CREATE TABLE tapped (number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TRIGGER tap AFTER INSERT ON messages WHEN NEW.queue LIKE 'panopticon.results.%'
BEGIN INSERT INTO tapped (body) VALUES (NEW.body); END;
"""


class ResultsTap:
    """The bodies that any process submitted to the results since `install`. The file must have its queues."""

    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("sqlite:///")
        self._last = 0

    def install(self) -> None:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection:
            connection.executescript(_TAP)

    def take(self) -> list[bytes]:
        """Return the bodies since the last call, in the order in which they were submitted."""
        with closing(sqlite3.connect(self._path, timeout=30)) as connection:
            rows = connection.execute(
                "SELECT number, body FROM tapped WHERE number > ? ORDER BY number", (self._last,)
            ).fetchall()
        self._last = rows[-1][0] if rows else self._last
        return [body for _, body in rows]
