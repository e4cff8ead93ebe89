"""Queues in one SQLite file. Leases replace a server's acknowledgements, and polling replaces its push.

Two kinds of waiting messages become ready before their time: those that a process of this machine had leased
that has ended, and those whose wait began in the future, because the clock was set back since.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from sqlite3 import Connection

from panopticon.interfaces import DelayedMessage, Delivery, Depth, Finding
from panopticon.messages import ImageMessage, Lane, encode
from panopticon.results.outputs import VersionName
from storage.sqlite.checksums import with_checksum
from storage.sqlite.database import SqliteDatabase
from storage.sqlite.diagnosis import diagnose_file
from workers.runtime.clock import Clock
from workers.runtime.holder import has_ended, this_process

PREFIX = "panopticon"
POLL_S = 0.02
STRANDED_EVERY_S = 1.0
"""Seconds between two looks for messages that wait without a reason."""
CLOCK_SLACK_MS = 1000
"""Steps of the clock, by a time server for example, that change nothing."""

_SUBMIT = "INSERT INTO messages (queue, body, checksum) VALUES (?, ?, ?)"

_ANYTHING_READY = """
SELECT EXISTS (SELECT 1 FROM messages WHERE queue = :queue AND available_at_ms = 0)
    OR EXISTS (
        SELECT 1 FROM messages
        WHERE queue = :queue AND available_at_ms > 0 AND available_at_ms <= :now_ms
    )
"""

# Messages whose lease or retry delay is over become ready in their places.
_WAKE = """
UPDATE messages SET available_at_ms = 0, leased = 0
WHERE queue = :queue AND available_at_ms > 0 AND available_at_ms <= :now_ms
"""

_LEASE = """
UPDATE messages
SET available_at_ms = :until_ms, since_ms = :now_ms, leased = 1, holder = :holder, deliveries = deliveries + 1
WHERE number IN (
    SELECT number FROM messages WHERE queue = :queue AND available_at_ms = 0 ORDER BY number LIMIT :limit
)
RETURNING number, deliveries, attempt, body
"""

_ACK = "DELETE FROM messages WHERE number = ? AND deliveries = ? AND leased AND available_at_ms > ?"

# A copy with a new number is behind all other messages, so that those which fail do not come first for ever.
_RETRY = """
INSERT INTO messages (queue, available_at_ms, since_ms, attempt, deliveries, body, checksum)
SELECT queue, ?, ?, attempt + ?, deliveries, body, checksum FROM messages
WHERE number = ? AND deliveries = ? AND leased AND available_at_ms > ?
"""

_REQUEUE = """
UPDATE messages SET available_at_ms = 0, leased = 0
WHERE number = ? AND deliveries = ? AND leased AND available_at_ms > ?
"""

_RENEW = """
UPDATE messages SET available_at_ms = ?, since_ms = ?
WHERE number = ? AND deliveries = ? AND leased AND available_at_ms > ?
"""

_HOLDERS = "SELECT DISTINCT holder FROM messages WHERE queue = ? AND available_at_ms > 0 AND leased"

_FREE_LEASES_OF = """
UPDATE messages SET available_at_ms = 0, leased = 0
WHERE queue = ? AND available_at_ms > 0 AND leased AND holder = ?
"""

# A lease of an older release has no beginning, but it was never longer than `lease_ms`.
_AHEAD = """
SELECT number FROM messages
WHERE queue = :queue AND available_at_ms > :now_ms AND (
    since_ms > :now_ms + :slack_ms
    OR leased AND since_ms = 0 AND available_at_ms > :now_ms + :lease_ms + :slack_ms
)
"""

_FREE = "UPDATE messages SET available_at_ms = 0, leased = 0 WHERE number = ?"

_DELAYED = """
SELECT body, available_at_ms FROM messages
WHERE queue IN (?, ?) AND available_at_ms > ? AND NOT leased
ORDER BY available_at_ms, number LIMIT ?
"""

# The two halves are each answered from an index alone.
_DEPTH = """
SELECT
    (SELECT count(*) FROM messages WHERE queue = :queue AND available_at_ms = 0)
        + count(*) FILTER (WHERE available_at_ms <= :now_ms),
    count(*) FILTER (WHERE available_at_ms > :now_ms AND leased),
    count(*) FILTER (WHERE available_at_ms > :now_ms AND NOT leased),
    coalesce(max(available_at_ms) FILTER (WHERE available_at_ms > :now_ms AND leased), 0)
FROM messages WHERE queue = :queue AND available_at_ms > 0
"""

_BIND = "INSERT INTO bindings (model, version) VALUES (?, ?) ON CONFLICT DO NOTHING"

_UNBIND = "DELETE FROM bindings WHERE model = ? AND version = ?"

_BOUND = "SELECT model, version FROM bindings ORDER BY model, version"


class SqliteQueue:
    """A `Queue`. Requeued messages keep their places, ahead of younger ones; retried ones go to the end."""

    def __init__(self, database: SqliteDatabase, name: str, *, lease_s: float, clock: Clock) -> None:
        self._database = database
        self._names = {lane: f"{name}.{lane}" for lane in Lane}
        self._lease_ms = round(lease_s * 1000)
        self._clock = clock
        self._free_stranded_at_s = clock.monotonic()

    def submit(self, bodies: Sequence[bytes], lane: Lane) -> None:
        with self._database.writing() as connection:
            connection.executemany(_SUBMIT, [with_checksum(self._names[lane], body) for body in bodies])

    def receive(self, *, max_live: int, max_backfill: int, wait_s: float) -> list[Delivery]:
        """Look for messages every `POLL_S` seconds, without writing while there are none."""
        limits = {Lane.LIVE: max_live, Lane.BACKFILL: max_backfill}
        wanted = {lane: limit for lane, limit in limits.items() if limit > 0}
        deadline_s = self._clock.monotonic() + wait_s
        while True:
            self._free_stranded_if_due(wanted)
            if self._anything_ready(wanted) and (deliveries := self._lease(wanted)):
                return deliveries
            left_s = deadline_s - self._clock.monotonic()
            if left_s <= 0:
                return []
            self._clock.sleep(min(POLL_S, left_s))

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        now_ms = self._now_ms()
        with self._database.writing() as connection:
            connection.executemany(_ACK, [(*_delivery_key(delivery), now_ms) for delivery in deliveries])

    def retry(self, delivery: Delivery, *, delay_s: float, spend_attempt: bool = True) -> None:
        now_ms = self._now_ms()
        due_ms = now_ms + round(delay_s * 1000)
        with self._database.writing() as connection:
            retried = (due_ms, now_ms, spend_attempt, *_delivery_key(delivery), now_ms)
            connection.execute(_RETRY, retried)
            connection.execute(_ACK, (*_delivery_key(delivery), now_ms))

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        now_ms = self._now_ms()
        with self._database.writing() as connection:
            connection.executemany(_REQUEUE, [(*_delivery_key(delivery), now_ms) for delivery in deliveries])

    def release_prefetched(self) -> None:
        """Do nothing: no message leaves the file before it is received."""

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        now_ms = self._now_ms()
        until_ms = now_ms + self._lease_ms
        rows = [(until_ms, now_ms, *_delivery_key(delivery), now_ms) for delivery in deliveries]
        with self._database.writing() as connection:
            connection.executemany(_RENEW, rows)

    def depth(self) -> Mapping[Lane, Depth]:
        now_ms = self._now_ms()
        with self._database.reading() as connection:
            return {lane: _depth(connection, queue, now_ms) for lane, queue in self._names.items()}

    def delayed(self, *, limit: int) -> list[DelayedMessage]:
        now_ms = self._now_ms()
        with self._database.reading() as connection:
            rows = connection.execute(_DELAYED, (*self._names.values(), now_ms, limit)).fetchall()
        return [DelayedMessage(body=body, due_at_ms=due_at_ms) for body, due_at_ms in rows]

    @cached_property
    def _holder(self) -> str:
        return this_process()

    def _free_stranded_if_due(self, lanes: Iterable[Lane]) -> None:
        """Make ready what waits for a process that has ended, or for a time before the clock was set back."""
        if self._clock.monotonic() < self._free_stranded_at_s:
            return
        self._free_stranded_at_s = self._clock.monotonic() + STRANDED_EVERY_S
        for queue in (self._names[lane] for lane in lanes):
            with self._database.reading() as connection:
                holders = [holder for (holder,) in connection.execute(_HOLDERS, (queue,))]
                ahead = connection.execute(_AHEAD, self._clock_now(queue)).fetchone()
            ended = [holder for holder in holders if has_ended(holder)]
            if ended or ahead:
                with self._database.writing() as connection:
                    connection.executemany(_FREE_LEASES_OF, [(queue, holder) for holder in ended])
                    # The clock is read within the transaction, after every lease that it finds.
                    connection.executemany(
                        _FREE, connection.execute(_AHEAD, self._clock_now(queue)).fetchall()
                    )

    def _clock_now(self, queue: str) -> dict[str, str | int]:
        now_ms = self._now_ms()
        return {"queue": queue, "now_ms": now_ms, "lease_ms": self._lease_ms, "slack_ms": CLOCK_SLACK_MS}

    def _anything_ready(self, wanted: Mapping[Lane, int]) -> bool:
        now_ms = self._now_ms()
        with self._database.reading() as connection:
            return any(
                connection.execute(
                    _ANYTHING_READY, {"queue": self._names[lane], "now_ms": now_ms}
                ).fetchone()[0]
                for lane in wanted
            )

    def _lease(self, wanted: Mapping[Lane, int]) -> list[Delivery]:
        with self._database.writing() as connection:
            now_ms = self._now_ms()
            deliveries: list[Delivery] = []
            for lane, limit in wanted.items():
                where = {"queue": self._names[lane], "now_ms": now_ms}
                connection.execute(_WAKE, where)
                lease = {"until_ms": now_ms + self._lease_ms, "holder": self._holder, "limit": limit}
                leased = connection.execute(_LEASE, where | lease)
                deliveries += [
                    Delivery(
                        tag=f"{number}.{count}", body=body, lane=lane, attempt=attempt, redelivered=count > 1
                    )
                    for number, count, attempt, body in sorted(leased)
                ]
        return deliveries

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)


class SqliteTopology:
    """A `Topology`. Bindings are rows; a queue exists as long as it has a message or a binding."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def bind(self, version: VersionName) -> None:
        with self._database.writing() as connection:
            connection.execute(_BIND, (version.model, version.version))

    def unbind(self, version: VersionName) -> None:
        with self._database.writing() as connection:
            connection.execute(_UNBIND, (version.model, version.version))

    def drop_if_empty(self, version: VersionName, *, idle_s: float = 0.0) -> bool:  # noqa: ARG002
        """Delete the binding. `idle_s` is not needed, since every message has the name of its queue."""
        queues = [f"{_queue_name(version)}.{lane}" for lane in Lane]
        with self._database.writing() as connection:
            if any(_depth(connection, queue, 0).total for queue in queues):
                return False
            connection.execute(_UNBIND, (version.model, version.version))
        return True

    def bound(self) -> tuple[VersionName, ...]:
        with self._database.reading() as connection:
            return _bound(connection)


class SqliteUploads:
    """An `Uploads` that writes to all queues in one transaction."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def publish(self, messages: Sequence[ImageMessage], lane: Lane) -> None:
        bodies = [encode(message) for message in messages]
        for_models = [
            body for message, body in zip(messages, bodies, strict=True) if message.event != "deleted"
        ]
        with self._database.writing() as connection:
            connection.executemany(
                _SUBMIT, [with_checksum(f"{PREFIX}.catalogue.{lane}", body) for body in bodies]
            )
            for version in _bound(connection):
                queue = f"{_queue_name(version)}.{lane}"
                connection.executemany(_SUBMIT, [with_checksum(queue, body) for body in for_models])


class SqliteBroker:
    """A `Broker` that opens its file at first use. Only the thread that first uses it may use it."""

    depth_lag_s = 0.0

    def __init__(
        self, url: str, *, lease_s: float = 60.0, clock: Clock = time, busy_timeout_s: float = 30.0
    ) -> None:
        """Open nothing yet. Raises: UsageError unless `url` is `sqlite:///…`."""
        self._database = SqliteDatabase(url, part="queue", busy_timeout_s=busy_timeout_s)
        self._lease_s = lease_s
        self._clock = clock
        self._queues: dict[str, SqliteQueue] = {}

    @cached_property
    def topology(self) -> SqliteTopology:
        return SqliteTopology(self._database)

    @cached_property
    def uploads(self) -> SqliteUploads:
        return SqliteUploads(self._database)

    def model_queue(self, version: VersionName) -> SqliteQueue:
        return self._queue(_queue_name(version))

    def results(self) -> SqliteQueue:
        return self._queue(f"{PREFIX}.results")

    def catalogue(self) -> SqliteQueue:
        return self._queue(f"{PREFIX}.catalogue")

    def undeliverable(self) -> SqliteQueue:
        return self._queue(f"{PREFIX}.undeliverable")

    def announce(self, body: bytes) -> None:
        self.results().submit([body], Lane.LIVE)

    def publish_downstream(self, bodies: Sequence[bytes]) -> None:
        """Add them to the one queue of results that there is, whose indexer finds nothing new in them."""
        self.results().submit(bodies, Lane.LIVE)

    def diagnose(self) -> list[Finding]:
        return diagnose_file(self._database)

    def close(self) -> None:
        self._database.close()

    def _queue(self, name: str) -> SqliteQueue:
        if name not in self._queues:
            self._queues[name] = SqliteQueue(self._database, name, lease_s=self._lease_s, clock=self._clock)
        return self._queues[name]


def _queue_name(version: VersionName) -> str:
    return f"{PREFIX}.{version.model}.{version.version}"


def _depth(connection: Connection, queue: str, now_ms: int) -> Depth:
    row = connection.execute(_DEPTH, {"queue": queue, "now_ms": now_ms}).fetchone()
    return Depth(ready=row[0], leased=row[1], retrying=row[2], leased_until_ms=row[3])


def _bound(connection: Connection) -> tuple[VersionName, ...]:
    return tuple(VersionName(model=model, version=version) for model, version in connection.execute(_BOUND))


def _delivery_key(delivery: Delivery) -> list[int]:
    """Return the number of the message and its count of deliveries, which differs for every delivery."""
    return [int(part) for part in delivery.tag.split(".")]
