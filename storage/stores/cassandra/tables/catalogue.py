"""The catalogue in Cassandra, and the list of its image IDs, in buckets that are partitions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from panopticon.results.outputs import CatalogueImage
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import (
    COUNT_LISTED,
    GET_IMAGE,
    LIST_IMAGE,
    LISTED_IMAGES,
    PUT_IMAGE,
)
from storage.stores.cassandra.tables.archive import ALWAYS_US
from storage.stores.cassandra.tables.payloads import decode_image, encode_image

BUCKETS = 4096
"""The number of partitions. With 40 million images each has about 10,000 rows, less than a megabyte."""
MAX_WIDTH = 512
"""The most buckets that are read together while they turn out to be nearly empty."""


def bucket_of(image_id: str) -> int:
    """Return the bucket of an ID: the first 16 bits of its SHA-256 modulo `BUCKETS`. It must never change."""
    return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:2], "big") % BUCKETS


class CassandraImageList:
    """An `ImageList`, ordered by bucket and then by ID."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    def add(self, image_ids: Sequence[str]) -> None:
        rows = [(bucket_of(image_id), image_id, ALWAYS_US) for image_id in sorted(set(image_ids))]
        self._session.write_each(LIST_IMAGE, rows)

    def image_ids(self, *, after: str = "", limit: int) -> list[str]:
        found: list[str] = []
        first = bucket_of(after) if after else 0
        begin, width = first, 1
        # Few buckets are read at first: in a large list one is enough, in a small one most are empty.
        while begin < BUCKETS and (missing := limit - len(found)) > 0:
            buckets = range(begin, min(begin + width, BUCKETS))
            pages = [(bucket, after if bucket == first else "", missing) for bucket in buckets]
            found += [row[0] for rows in self._session.rows_of_each(LISTED_IMAGES, pages) for row in rows]
            begin, width = begin + width, min(2 * width, MAX_WIDTH)
        return found[:limit]

    def count(self) -> int:
        """Count every bucket, 64 at a time; about a second while they are small."""
        counts = self._session.rows_of_each(COUNT_LISTED, [(bucket,) for bucket in range(BUCKETS)])
        return sum(rows[0][0] for rows in counts)


class CassandraCatalogue:
    """A `Catalogue`. The timestamp of a row is made from its revision, so that the highest one stays."""

    def __init__(self, session: CassandraSession, listed: CassandraImageList) -> None:
        self._session = session
        self._listed = listed

    def put(self, images: Sequence[CatalogueImage]) -> None:
        # Listed first: a crash in between leaves an ID without a row, and never a row that nobody can find.
        self._listed.add([image.image_id for image in images])
        # The timestamp is below 2^54, since a revision is below 2^53. A delete wins against an upload.
        rows = [(image.image_id, encode_image(image), image.revision * 2 + image.deleted) for image in images]
        self._session.write_each(PUT_IMAGE, rows)

    def get(self, image_ids: Sequence[str]) -> dict[str, CatalogueImage]:
        wanted = [(image_id,) for image_id in sorted(set(image_ids))]
        found = self._session.rows_of_each(GET_IMAGE, wanted)
        return {image_id: decode_image(image_id, payload) for rows in found for image_id, payload in rows}
