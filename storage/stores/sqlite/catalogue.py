"""The catalogue in SQLite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple

from panopticon.results.outputs import CatalogueImage
from storage.sqlite.checksums import with_checksum
from storage.sqlite.database import SqliteDatabase

_PUT = """
INSERT INTO catalogue
(image_id, revision, image_uri, event, occurred_at_ms, located_at_ms, checksum)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET revision = excluded.revision, image_uri = excluded.image_uri,
event = excluded.event, occurred_at_ms = excluded.occurred_at_ms, located_at_ms = excluded.located_at_ms,
checksum = excluded.checksum
WHERE (excluded.revision, excluded.event = 'deleted', excluded.occurred_at_ms <> 0, excluded.occurred_at_ms,
       excluded.located_at_ms, excluded.image_uri)
> (catalogue.revision, catalogue.event = 'deleted', catalogue.occurred_at_ms <> 0, catalogue.occurred_at_ms,
   catalogue.located_at_ms, catalogue.image_uri)
"""

_GET = """
SELECT image_id, revision, image_uri, event, occurred_at_ms, located_at_ms
FROM json_each(?) AS wanted CROSS JOIN catalogue ON image_id = wanted.value
"""


class SqliteCatalogue:
    """A `Catalogue`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def put(self, images: Sequence[CatalogueImage]) -> None:
        with self._database.writing() as connection:
            connection.executemany(_PUT, [with_checksum(*astuple(image)) for image in images])

    def get(self, image_ids: Sequence[str]) -> dict[str, CatalogueImage]:
        with self._database.reading() as connection:
            rows = connection.execute(_GET, (json.dumps(sorted(set(image_ids))),)).fetchall()
        return {
            image_id: CatalogueImage(
                image_id=image_id,
                revision=revision,
                image_uri=image_uri,
                event=event,
                occurred_at_ms=occurred_at_ms,
                located_at_ms=located_at_ms,
            )
            for image_id, revision, image_uri, event, occurred_at_ms, located_at_ms in rows
        }
