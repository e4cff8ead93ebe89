"""The output store in Cassandra; its failures are in `failures.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from panopticon.results.outputs import (
    Failure,
    FailureState,
    Output,
    OutputKey,
    VersionName,
    decode_payload,
    encode_payload,
)
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import (
    ERASE_OUTPUTS,
    GET_OUTPUTS,
    OUTPUT_TIMESTAMPS,
    PUT_OUTPUT,
    VERSIONS_OF,
)
from storage.stores.cassandra.tables.failures import CassandraFailures
from storage.stores.cassandra.window import Row


class CassandraOutputStore:
    """An `OutputStore`. Of two outputs produced in the same millisecond, either stays as a whole.

    An output that was produced before an erasure stays erased, even if it is put afterwards.
    """

    def __init__(self, session: CassandraSession, *, clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._clock = clock

    def put(self, outputs: Sequence[Output]) -> None:
        rows = [
            (*output.key.columns, encode_payload(output), output.produced_at_ms * 1000) for output in outputs
        ]
        self._session.write_each(PUT_OUTPUT, rows)

    def get(self, image_ids: Sequence[str], version: VersionName) -> dict[OutputKey, Output]:
        wanted = [(image_id, version.model, version.version) for image_id in sorted(set(image_ids))]
        found = self._session.rows_of_each(GET_OUTPUTS, wanted)
        outputs = [_output_of(row) for rows in found for row in rows]
        return {output.key: output for output in outputs}

    def versions_of(self, image_id: str) -> list[Output]:
        return [_output_of(row) for row in self._session.rows(VERSIONS_OF, (image_id,))]

    def put_failures(self, failures: Sequence[Failure]) -> None:
        self._failures.put(failures)

    def failures_of(self, image_ids: Sequence[str]) -> list[Failure]:
        return self._failures.of_images(image_ids)

    def failures(self, version: VersionName, *, day: str, state: FailureState) -> Iterator[Failure]:
        """Yield failures, read page by page; changes between pages may be seen or not."""
        return self._failures.of_day(version, day=day, state=state)

    def failure_days(self, version: VersionName) -> list[str]:
        return self._failures.days(version)

    def discard_failures(self, keys: Sequence[OutputKey]) -> None:
        self._failures.discard(keys)

    def erase(self, image_ids: Sequence[str]) -> None:
        ids = sorted(set(image_ids))
        now_us = int(self._clock() * 1_000_000)
        self._failures.erase(ids, now_us=now_us)
        written = self._session.rows_of_each(OUTPUT_TIMESTAMPS, [(image_id,) for image_id in ids])
        # An output may have been produced by a machine with a clock ahead of ours.
        rows = [(max([now_us, *(at for (at,) in each)]), ids[n]) for n, each in enumerate(written)]
        self._session.write_each(ERASE_OUTPUTS, rows)

    @cached_property
    def _failures(self) -> CassandraFailures:
        return CassandraFailures(self._session)


def _output_of(row: Row) -> Output:
    image_id, model, version, revision, payload = row
    key = OutputKey(image_id=image_id, model=model, version=version, revision=revision)
    return decode_payload(key, payload)
