"""The counting of images by state in SQLite, as `panopticon.results.ledger.state_of` defines it."""

from __future__ import annotations

from collections import Counter

from panopticon.results.ledger import Ledger
from panopticon.results.outputs import VersionName
from storage.sqlite.database import SqliteDatabase

# An image with only a failure has no row in the catalogue: the revision of its newest failure is used. One
# that waits on a retry delay is not known yet.
_COUNT = """
WITH known (image_id, revision, open) AS (
    SELECT image_id, revision, event <> 'deleted' AND NOT :retired FROM catalogue
    UNION ALL
    SELECT image_id, max(revision), 0 FROM failures
    WHERE model = :model AND version = :version AND state <> 'retrying'
    AND image_id NOT IN (SELECT image_id FROM catalogue)
    GROUP BY image_id
)
SELECT count(*), state FROM (
    SELECT CASE
        WHEN EXISTS (
            SELECT 1 FROM outputs
            WHERE outputs.image_id = known.image_id AND model = :model AND version = :version
            AND outputs.revision = known.revision
        ) THEN 'stored'
        ELSE CASE (
            SELECT state FROM failures
            WHERE failures.image_id = known.image_id AND model = :model AND version = :version
            AND failures.revision = known.revision
        )
            WHEN 'dead' THEN 'dead'
            WHEN 'discarded' THEN 'skipped'
            WHEN 'retrying' THEN iif(open, 'retrying', 'skipped')
            ELSE iif(open, 'pending', 'skipped')
        END
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
        counts = Counter({state: count for count, state in rows})
        # An image that waits on a retry delay is one of the pending ones.
        counts["pending"] += counts["retrying"]
        return Ledger(**counts)

    def dead(self, version: VersionName) -> int:
        with self._database.reading() as connection:
            row = connection.execute(_DEAD, (version.model, version.version)).fetchone()
        return int(row[0])
