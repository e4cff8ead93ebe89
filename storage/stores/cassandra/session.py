"""The execution of statements in one keyspace: many at once, and repeated if no answer comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from cassandra.cluster import NoHostAvailable, Session
from cassandra.query import PreparedStatement

from panopticon.errors import Unavailable
from storage.stores.cassandra.connection import CassandraTimeouts, new_cluster
from storage.stores.cassandra.errors import is_unknown, translated
from storage.stores.cassandra.schema import once_open, prepare_keyspace
from storage.stores.cassandra.statements import Kind, Statement
from storage.stores.cassandra.url import CassandraAddress
from storage.stores.cassandra.window import Row, Window

MAX_IN_FLIGHT = 64
"""The most requests at once. More were not faster on one node, and all time out when it falls silent."""


class CassandraSession:
    """A session that connects at first use, and then applies missing migrations. Threads may share it.

    Every method raises: UsageError if a person has to act, Unavailable if waiting helps.
    """

    def __init__(self, address: CassandraAddress, *, timeouts: CassandraTimeouts) -> None:
        self._address = address
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._prepared: dict[Statement, PreparedStatement] = {}
        self._lost_at_s: float | None = None

    def rows(self, statement: Statement, values: Row) -> list[Row]:
        """Return the rows of one read."""
        return self.rows_of_each(statement, [values])[0]

    def rows_of_each(self, statement: Statement, each: Sequence[Row]) -> list[list[Row]]:
        """Return the rows of each read, in order."""
        answers = self._run(statement, each)
        return [answers[number] for number in range(len(each))]

    def write_each(self, statement: Statement, each: Sequence[Row]) -> None:
        """Write all rows; they are stored when this returns. If it raises, any of them may be stored.

        A write that is not answered in time is repeated with the same timestamp.
        """
        self._run(statement, each)

    def decide(self, statement: Statement, values: Row) -> bool | None:
        """Run a lightweight transaction. Return whether it was applied, or None if that is unknown."""
        with self._translating():
            prepared = self._prepare(statement)
            try:
                result = self._connected().execute(prepared, values, execution_profile=statement.kind)
            except Exception as error:
                if not is_unknown(error):
                    raise
                return None
            return bool(result.was_applied)

    def close(self) -> None:
        """Close the connections and end the driver's threads; the next use connects again."""
        with self._lock:
            session, self._session = self._session, None
            self._prepared = {}
            self._lost_at_s = None
        if session is not None:
            session.cluster.shutdown()

    def _run(self, statement: Statement, each: Sequence[Row]) -> dict[int, list[Row]]:
        """Execute a statement with each of the values; return the rows of each by its number."""
        answers: dict[int, list[Row]] = {}
        sent_at_s: dict[int, float] = {}
        while len(answers) < len(each):
            with self._translating():
                prepared, session = self._prepare(statement), self._connected()
                send = partial(session.execute_async, prepared, execution_profile=statement.kind)
                window = Window(send, max_in_flight=MAX_IN_FLIGHT)
                window.run((number, values) for number, values in enumerate(each) if number not in answers)
                answers |= window.answers
                # The patience is for each request, since a list may be of any length.
                sent_at_s = window.sent_at_s | sent_at_s
                late_s = time.monotonic() - self._timeouts.patience_s
                for number, error in window.errors.items():
                    # Only a request that may or may not be carried out is worth repeating.
                    if sent_at_s[number] < late_s or not is_unknown(error):
                        raise error
        return answers

    def _prepare(self, statement: Statement) -> PreparedStatement:
        session, known = self._connected(), self._prepared
        if statement not in known:
            prepared = once_open(lambda: session.prepare(statement.cql))
            prepared.is_idempotent = statement.kind is not Kind.DECIDE
            known[statement] = prepared
        return known[statement]

    def _connected(self) -> Session:
        with self._lock:
            if self._session is None:
                self._session = self._connect()
            return self._session

    def _connect(self) -> Session:
        cluster = new_cluster(self._address, self._timeouts)
        try:
            session = cluster.connect()
            # Every read is bounded by its partition or by a LIMIT, so that no paging is needed.
            session.default_fetch_size = None
            prepare_keyspace(session, self._address)
        except BaseException:
            cluster.shutdown()
            raise
        return session

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
            self._lost_at_s = None
        except Exception as error:
            if isinstance(error, NoHostAvailable):
                self._reconnect_after_long_outage()
            translation = translated(error, self._address)
            if translation is error:
                raise
            # A person's mistake needs no traceback of the driver; an outage may.
            raise translation from (error if isinstance(translation, Unavailable) else None)

    def _reconnect_after_long_outage(self) -> None:
        # The driver retries nodes at their former addresses only, and never again a node that once refused
        # its login. After a long outage the next use therefore resolves the hosts by name again.
        now_s = time.monotonic()
        self._lost_at_s = now_s if self._lost_at_s is None else self._lost_at_s
        if now_s - self._lost_at_s > self._timeouts.forget_s:
            self.close()
