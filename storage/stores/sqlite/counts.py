"""The counting of images by state in SQLite, as `panopticon.results.ledger.state_of` defines it."""

from __future__ import annotations

from panopticon.results.ledger import Ledger, State
from panopticon.results.outputs import VersionName
from storage.sqlite.database import SqliteDatabase

# An image with only a failure has no row in the catalogue: the revision of its newest failure is used.
_COUNT = """
WITH known (image_id, revision, open) AS (
    SELECT image_id, revision, event <> 'deleted' AND NOT :retired FROM catalogue
    UNION ALL
    SELECT image_id, max(revision), 0 FROM failures
    WHERE model = :model AND version = :version AND image_id NOT IN (SELECT image_id FROM catalogue)
    GROUP BY image_id
)
SELECT count(*), state FROM (
    SELECT CASE
        WHEN EXISTS (
            SELECT 1 FROM outputs
            WHERE outputs.image_id = known.image_id AND model = :model AND version = :version
            AND outputs.revision = known.revision
        ) THEN 'stored'
        WHEN EXISTS (
            SELECT 1 FROM failures
            WHERE failures.image_id = known.image_id AND model = :model AND version = :version
            AND failures.revision = known.revision AND state = 'dead'
        ) THEN 'dead'
        WHEN open AND NOT EXISTS (
            SELECT 1 FROM failures
            WHERE failures.image_id = known.image_id AND model = :model AND version = :version
            AND failures.revision = known.revision AND state = 'discarded'
        ) THEN 'pending'
        ELSE 'skipped'
    END AS state
    FROM known
)
GROUP BY state
"""


_DEAD = "SELECT count(*) FROM failures WHERE model = ? AND version = ? AND state = 'dead'"


class SqliteLedgerCounts:
    """A `LedgerCounts`. It scans the catalogue once, with one index look-up for each image."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def count(self, version: VersionName, *, retired: bool) -> Ledger:
        where = {"model": version.model, "version": version.version, "retired": retired}
        with self._database.reading() as connection:
            rows = connection.execute(_COUNT, where).fetchall()
        return Ledger(**{State(state).value: count for count, state in rows})

    def dead(self, version: VersionName) -> int:
        with self._database.reading() as connection:
            row = connection.execute(_DEAD, (version.model, version.version)).fetchone()
        return int(row[0])
