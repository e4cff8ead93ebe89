"""The folder list in Cassandra: 64 partitions for each root."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from panopticon.results.folder_entries import FolderEntry, decode_entry, encode_entry
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import (
    ADD_ROOT,
    ENTRIES_AT,
    ENTRIES_BELOW,
    ERASE_ENTRY,
    PUT_ENTRY,
    ROOTS,
)
from storage.stores.folder_ranges import paths_below

SHARDS = 64
"""Partitions of one root. With another number, stored entries would not be found."""

PAGE_ROWS = 1_000

_ALL = "folders"
"""The one partition of all roots: people index few folders."""


class CassandraFolderList:
    """A `FolderList`. Of two entries with one key and time, either stays as a whole."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    def add_roots(self, roots: Sequence[bytes]) -> None:
        # They are never removed, so that one timestamp is enough.
        self._session.write_each(ADD_ROOT, [(_ALL, root, 1) for root in roots])

    def roots(self) -> tuple[bytes, ...]:
        return tuple(root for (root,) in self._session.rows(ROOTS, (_ALL,)))

    def put(self, entries: Sequence[FolderEntry]) -> None:
        rows = [(*_columns(entry), encode_entry(entry), _timestamp(entry)) for entry in entries]
        self._session.write_each(PUT_ENTRY, rows)

    def get(self, places: Sequence[tuple[bytes, bytes]]) -> list[FolderEntry]:
        wanted = sorted(set(places))
        found = self._session.rows_of_each(ENTRIES_AT, [(root, _shard(path), path) for root, path in wanted])
        return [
            decode_entry((*place, image_id), payload)
            for place, rows in zip(wanted, found, strict=True)
            for _, image_id, payload in rows
        ]

    def below(self, root: bytes, folder: bytes) -> Iterator[FolderEntry]:
        """Yield entries, read page by page; changes between pages may be seen or not."""
        first, end = paths_below(folder)
        for shard in range(SHARDS):
            after = (first, "")
            while page := self._session.rows(ENTRIES_BELOW, (root, shard, *after, end, PAGE_ROWS)):
                yield from (decode_entry((root, path, image_id), payload) for path, image_id, payload in page)
                if len(page) < PAGE_ROWS:
                    break
                after = page[-1][:2]

    def erase(self, entries: Sequence[FolderEntry]) -> None:
        self._session.write_each(ERASE_ENTRY, [(_timestamp(entry), *_columns(entry)) for entry in entries])


def _columns(entry: FolderEntry) -> tuple[bytes, int, bytes, str]:
    """Return the columns of the primary key."""
    return entry.root, _shard(entry.path), entry.path, entry.image_id


def _shard(path: bytes) -> int:
    return zlib.crc32(path) % SHARDS


def _timestamp(entry: FolderEntry) -> int:
    """Return microseconds: the later entry stays, and an erasure removes this one and those before it."""
    return entry.seen_at_ms * 1000
