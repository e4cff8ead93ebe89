"""The folder list in SQLite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from panopticon.chunks import chunks
from panopticon.results.folder_entries import FolderEntry, decode_entry, encode_entry
from storage.sqlite.checksums import with_checksum
from storage.sqlite.database import SqliteDatabase
from storage.stores.folder_ranges import paths_below

PAGE_ROWS = 1_000

_ADD_ROOT = "INSERT INTO folder_roots (root) VALUES (?) ON CONFLICT DO NOTHING"

_ROOTS = "SELECT root FROM folder_roots ORDER BY root"

_PUT = """
INSERT INTO folder_list (root, path, image_id, seen_at_ms, payload, checksum) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
seen_at_ms = excluded.seen_at_ms, payload = excluded.payload, checksum = excluded.checksum
WHERE excluded.seen_at_ms > folder_list.seen_at_ms
"""

_GET = "SELECT root, path, image_id, payload FROM folder_list WHERE root = ? AND path = ? ORDER BY image_id"

_BELOW = """
SELECT root, path, image_id, payload FROM folder_list
WHERE root = ? AND (path, image_id) > (?, ?) AND path < ?
ORDER BY path, image_id LIMIT ?
"""

_ERASE = "DELETE FROM folder_list WHERE root = ? AND path = ? AND image_id = ? AND seen_at_ms <= ?"


class SqliteFolderList:
    """A `FolderList`. Of two entries with one key and time, the first stays."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def add_roots(self, roots: Sequence[bytes]) -> None:
        with self._database.writing() as connection:
            connection.executemany(_ADD_ROOT, [(root,) for root in roots])

    def roots(self) -> tuple[bytes, ...]:
        with self._database.reading() as connection:
            return tuple(root for (root,) in connection.execute(_ROOTS))

    def put(self, entries: Sequence[FolderEntry]) -> None:
        for chunk in chunks(entries, PAGE_ROWS):
            rows = [with_checksum(*entry.key, entry.seen_at_ms, encode_entry(entry)) for entry in chunk]
            with self._database.writing() as connection:
                connection.executemany(_PUT, rows)

    def get(self, places: Sequence[tuple[bytes, bytes]]) -> list[FolderEntry]:
        with self._database.reading() as connection:
            rows = [row for place in sorted(set(places)) for row in connection.execute(_GET, place)]
        return [decode_entry(row[:3], row[3]) for row in rows]

    def below(self, root: bytes, folder: bytes) -> Iterator[FolderEntry]:
        """Yield entries, read page by page; no transaction is open between pages."""
        first, end = paths_below(folder)
        after = (first, "")
        while page := self._page(root, after, end):
            last = (page[-1].path, page[-1].image_id)
            self._database.refuse_standstill(after, last)
            yield from page
            after = last

    def erase(self, entries: Sequence[FolderEntry]) -> None:
        with self._database.writing() as connection:
            connection.executemany(_ERASE, [(*entry.key, entry.seen_at_ms) for entry in entries])

    def _page(self, root: bytes, after: tuple[bytes, str], end: bytes) -> list[FolderEntry]:
        with self._database.reading() as connection:
            rows = connection.execute(_BELOW, (root, *after, end, PAGE_ROWS)).fetchall()
        return [decode_entry(row[:3], row[3]) for row in rows]
