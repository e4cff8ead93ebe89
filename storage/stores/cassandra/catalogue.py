"""The catalogue in Cassandra."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.results.outputs import CatalogueImage
from storage.stores.cassandra.images import CassandraImageList
from storage.stores.cassandra.payloads import decode_image, encode_image
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import GET_IMAGE, PUT_IMAGE


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
