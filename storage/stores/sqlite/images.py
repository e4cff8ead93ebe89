"""The list of all image IDs in SQLite, which is the catalogue itself: it is sorted by ID."""

from __future__ import annotations

from collections.abc import Sequence

from storage.sqlite.database import SqliteDatabase

_IDS = "SELECT image_id FROM catalogue WHERE image_id > ? ORDER BY image_id LIMIT ?"

_COUNT = "SELECT count(*) FROM catalogue"


class SqliteImageList:
    """An `ImageList`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def image_ids(self, *, after: str = "", limit: int) -> list[str]:
        with self._database.reading() as connection:
            found = [image_id for (image_id,) in connection.execute(_IDS, (after, limit))]
        if found:
            self._database.refuse_standstill(after, found[-1])
        return found

    def count(self) -> int:
        with self._database.reading() as connection:
            ((images,),) = connection.execute(_COUNT)
        return int(images)

    def add(self, image_ids: Sequence[str]) -> None:
        """Do nothing: every image of the catalogue is listed already."""
