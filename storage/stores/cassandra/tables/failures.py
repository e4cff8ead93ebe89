"""Failures in Cassandra: a row for each key, and for each day a list of keys."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from panopticon.results.outputs import Failure, FailureState, OutputKey, VersionName
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import (
    DAYS,
    ERASE_FAILURES,
    ERASE_LISTED,
    FAILURES_OF,
    GET_FAILURE,
    LIST_FAILURE,
    LISTED_FAILURES,
    PUT_DAY,
    PUT_FAILURE,
)
from storage.stores.cassandra.tables.payloads import decode_failure, encode_failure
from storage.stores.cassandra.window import Row
from storage.stores.failure_fields import day_of

SHARDS = 16
"""Partitions of one version and day. With another number, stored failures would not be found."""

PAGE_ROWS = 500

_BEFORE_ALL = (-(2**63), "", -1)


class CassandraFailures:
    """The failures of an `OutputStore`.

    A failure that happens again gets another entry in the list, and the former entry stays. So each entry
    is compared with its row, and counts only if both have the same time.
    """

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    def put(self, failures: Sequence[Failure]) -> None:
        """Insert or replace failures by their key."""
        listed = [each for each in failures if each.state is not FailureState.RETRYING]
        days = {(each.key.model, each.key.version, day_of(each.last_at_ms)): each for each in listed}
        # The row is written last, so that every stored row that is dead is in a list.
        self._session.write_each(PUT_DAY, [(*day, _timestamp(each)) for day, each in days.items()])
        self._session.write_each(LIST_FAILURE, [(*_entry(each), _timestamp(each)) for each in listed])
        rows = [(*each.key.columns, encode_failure(each), _timestamp(each)) for each in failures]
        self._session.write_each(PUT_FAILURE, rows)

    def of_images(self, image_ids: Sequence[str]) -> list[Failure]:
        """Return every failure of these images, in any state, ordered by key."""
        wanted = [(image_id,) for image_id in sorted(set(image_ids))]
        found = self._session.rows_of_each(FAILURES_OF, wanted)
        return [_failure_of(row) for rows in found for row in rows]

    def of_day(self, version: VersionName, *, day: str, state: FailureState) -> Iterator[Failure]:
        """Yield the failures of one UTC day, by `last_at_ms`, then by key."""
        shards = [self._listed(version, day, shard) for shard in range(SHARDS)]
        return (each for each in self._checked(heapq.merge(*shards), version) if each.state is state)

    def days(self, version: VersionName) -> list[str]:
        """Return the UTC days with failures in any state, newest first."""
        days = [day for (day,) in self._session.rows(DAYS, (version.model, version.version))]
        return [day for day in days if self._has_any(version, day)]

    def discard(self, keys: Sequence[OutputKey]) -> None:
        """Set failures to `discarded`; one that happens again in the meantime is later, and stays."""
        found = [failure for failure in self._read(keys) if failure.state is not FailureState.RETRYING]
        self.put([replace(failure, state=FailureState.DISCARDED) for failure in found])

    def erase(self, image_ids: Sequence[str], *, now_us: int) -> None:
        """Delete all failures of these images, also those that are put later and failed before `now_us`."""
        failures = self.of_images(image_ids)
        until_us = dict.fromkeys(image_ids, now_us)
        for failure in failures:
            image_id = failure.key.image_id
            until_us[image_id] = max(until_us[image_id], _timestamp(failure))
        listed = [(until_us[each.key.image_id], *_entry(each)) for each in failures]
        self._session.write_each(ERASE_LISTED, listed)
        self._session.write_each(ERASE_FAILURES, [(at, image_id) for image_id, at in until_us.items()])

    def _has_any(self, version: VersionName, day: str) -> bool:
        shards = (self._listed(version, day, shard) for shard in range(SHARDS))
        return next(self._checked(chain.from_iterable(shards), version), None) is not None

    def _listed(self, version: VersionName, day: str, shard: int) -> Iterator[Row]:
        """Yield the entries of one partition, page by page, as (last_at_ms, image_id, revision)."""
        after: Row = _BEFORE_ALL
        while page := self._session.rows(
            LISTED_FAILURES, (version.model, version.version, day, shard, *after, PAGE_ROWS)
        ):
            yield from page
            if len(page) < PAGE_ROWS:
                return
            after = page[-1]

    def _checked(self, entries: Iterable[Row], version: VersionName) -> Iterator[Failure]:
        """Yield the failures of those entries that agree with their rows, in the order of the entries."""
        remaining = iter(entries)
        while page := list(islice(remaining, PAGE_ROWS)):
            found = {
                failure.key: failure for failure in self._read([_key_of(each, version) for each in page])
            }
            for entry in page:
                failure = found.get(_key_of(entry, version))
                if failure is not None and failure.last_at_ms == entry[0]:
                    yield failure

    def _read(self, keys: Sequence[OutputKey]) -> list[Failure]:
        """Return the failures that exist, each once."""
        wanted = [key.columns for key in dict.fromkeys(keys)]
        return [_failure_of(row) for rows in self._session.rows_of_each(GET_FAILURE, wanted) for row in rows]


def _entry(failure: Failure) -> Row:
    """Return the columns of an entry, in the order of the primary key of failures_by_day."""
    key, day = failure.key, day_of(failure.last_at_ms)
    shard = zlib.crc32(key.image_id.encode()) % SHARDS
    return key.model, key.version, day, shard, failure.last_at_ms, key.image_id, key.revision


def _timestamp(failure: Failure) -> int:
    """Return microseconds: the later failure stays, and at the same time the state further along."""
    return failure.last_at_ms * 1000 + failure.state.rank


def _key_of(entry: Row, version: VersionName) -> OutputKey:
    _, image_id, revision = entry
    return OutputKey(image_id=image_id, model=version.model, version=version.version, revision=revision)


def _failure_of(row: Row) -> Failure:
    image_id, model, version, revision, payload = row
    key = OutputKey(image_id=image_id, model=model, version=version, revision=revision)
    return decode_failure(key, payload)
