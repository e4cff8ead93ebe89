"""Outputs and failures in SQLite."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from panopticon.results.outputs import (
    Failure,
    FailureState,
    Output,
    OutputKey,
    VersionName,
    decode_payload,
    encode_payload,
)
from storage.sqlite.checksums import checksum, with_checksum
from storage.sqlite.database import SqliteDatabase
from storage.stores.failure_fields import listed_day_of, storable

PAGE_ROWS = 500

_PUT = """
INSERT INTO outputs (image_id, model, version, revision, produced_at_ms, payload, checksum)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
produced_at_ms = excluded.produced_at_ms, payload = excluded.payload, checksum = excluded.checksum
WHERE excluded.produced_at_ms > outputs.produced_at_ms
"""

_GET = """
SELECT image_id, model, version, revision, payload
FROM json_each(?) AS wanted CROSS JOIN outputs ON image_id = wanted.value
WHERE model = ? AND version = ?
"""

_VERSIONS_OF = """
SELECT image_id, model, version, revision, payload
FROM outputs WHERE image_id = ? ORDER BY model, version DESC, revision DESC
"""

# States further along are further right in the list.
_PUT_FAILURE = """
INSERT INTO failures
(image_id, model, version, revision, state, reason, detail, attempts, last_at_ms, day, message, retry_at_ms,
 checksum)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET state = excluded.state, reason = excluded.reason, detail = excluded.detail,
attempts = excluded.attempts, last_at_ms = excluded.last_at_ms, day = excluded.day,
message = excluded.message, retry_at_ms = excluded.retry_at_ms, checksum = excluded.checksum
WHERE excluded.last_at_ms > failures.last_at_ms
OR (excluded.last_at_ms = failures.last_at_ms
    AND instr('retrying dead replayed discarded', excluded.state)
        >= instr('retrying dead replayed discarded', failures.state))
"""

_FAILURES_OF = """
SELECT image_id, model, version, revision, state, reason, detail, attempts, last_at_ms, message, retry_at_ms
FROM json_each(?) AS wanted CROSS JOIN failures ON image_id = wanted.value
ORDER BY image_id, model, version, revision
"""

_FAILURES = """
SELECT image_id, model, version, revision, state, reason, detail, attempts, last_at_ms, message, retry_at_ms
FROM failures
WHERE model = ? AND version = ? AND day = ? AND state = ? AND (last_at_ms, image_id, revision) > (?, ?, ?)
ORDER BY last_at_ms, image_id, revision LIMIT ?
"""

# Each step seeks the next older day in the index, so that the cost grows with days and not with failures.
_FAILURE_DAYS = """
WITH RECURSIVE days (day) AS (
    SELECT max(day) FROM failures WHERE model = :model AND version = :version
    UNION ALL
    SELECT (SELECT max(day) FROM failures WHERE model = :model AND version = :version AND day < days.day)
    FROM days WHERE day > ''
)
SELECT day FROM days WHERE day > ''
"""

_DISCARD = """
UPDATE failures SET state = 'discarded'
WHERE image_id = ? AND model = ? AND version = ? AND revision = ? AND state <> 'retrying'
"""

_ERASE_OUTPUTS = "DELETE FROM outputs WHERE image_id = ?"

_ERASE_FAILURES = "DELETE FROM failures WHERE image_id = ?"

_BEFORE_ALL = (-(2**63), "", -1)


class SqliteOutputStore:
    """An `OutputStore`. Of two outputs produced in the same millisecond, the first stays."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def put(self, outputs: Sequence[Output]) -> None:
        rows = [
            with_checksum(*output.key.columns, output.produced_at_ms, encode_payload(output))
            for output in outputs
        ]
        with self._database.writing() as connection:
            connection.executemany(_PUT, rows)

    def get(self, image_ids: Sequence[str], version: VersionName) -> dict[OutputKey, Output]:
        with self._database.reading() as connection:
            rows = connection.execute(_GET, (_id_set(image_ids), version.model, version.version)).fetchall()
        outputs = [_output_of(row) for row in rows]
        return {output.key: output for output in outputs}

    def versions_of(self, image_id: str) -> list[Output]:
        with self._database.reading() as connection:
            return [_output_of(row) for row in connection.execute(_VERSIONS_OF, (image_id,))]

    def put_failures(self, failures: Sequence[Failure]) -> None:
        rows = [_failure_row(failure) for failure in failures]
        with self._database.writing() as connection:
            connection.executemany(_PUT_FAILURE, rows)

    def failures_of(self, image_ids: Sequence[str]) -> list[Failure]:
        with self._database.reading() as connection:
            return [_failure_of(row) for row in connection.execute(_FAILURES_OF, (_id_set(image_ids),))]

    def failures(self, version: VersionName, *, day: str, state: FailureState) -> Iterator[Failure]:
        """Yield failures, read page by page; no transaction is open between pages."""
        after = _BEFORE_ALL
        while page := self._failures_after(after, version, day, state):
            last = (page[-1].last_at_ms, page[-1].key.image_id, page[-1].key.revision)
            self._database.refuse_standstill(after, last)
            yield from page
            after = last

    def failure_days(self, version: VersionName) -> list[str]:
        with self._database.reading() as connection:
            rows = connection.execute(_FAILURE_DAYS, {"model": version.model, "version": version.version})
            return [day for (day,) in rows]

    def discard_failures(self, keys: Sequence[OutputKey]) -> None:
        with self._database.writing() as connection:
            connection.executemany(_DISCARD, [key.columns for key in keys])

    def erase(self, image_ids: Sequence[str]) -> None:
        rows = [(image_id,) for image_id in image_ids]
        with self._database.writing() as connection:
            connection.executemany(_ERASE_OUTPUTS, rows)
            connection.executemany(_ERASE_FAILURES, rows)

    def _failures_after(
        self, after: tuple[int, str, int], version: VersionName, day: str, state: FailureState
    ) -> list[Failure]:
        where = (version.model, version.version, day, state.value)
        with self._database.reading() as connection:
            return [_failure_of(row) for row in connection.execute(_FAILURES, (*where, *after, PAGE_ROWS))]


def _id_set(image_ids: Sequence[str]) -> str:
    return json.dumps(sorted(set(image_ids)))


def _key_of(row: tuple[Any, ...]) -> OutputKey:
    return OutputKey(image_id=row[0], model=row[1], version=row[2], revision=row[3])


def _output_of(row: tuple[Any, ...]) -> Output:
    return decode_payload(_key_of(row), row[4])


def _failure_row(failure: Failure) -> tuple[Any, ...]:
    key = failure.key.columns
    rest = (
        failure.reason,
        storable(failure.detail),
        failure.attempts,
        failure.last_at_ms,
        listed_day_of(failure),
        failure.message,
        failure.retry_at_ms,
    )
    # The state changes later, and an index repeats it.
    return *key, failure.state.value, *rest, checksum((*key, *rest))


def _failure_of(row: tuple[Any, ...]) -> Failure:
    return Failure(
        key=_key_of(row),
        state=FailureState(row[4]),
        reason=row[5],
        detail=row[6],
        attempts=row[7],
        last_at_ms=row[8],
        message=row[9],
        retry_at_ms=row[10],
    )
