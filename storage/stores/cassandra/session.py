"""Statements sent to one keyspace, many at once, and again where no answer came."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
"""More were no faster on one node, and all of them have to time out when it falls silent."""


class CassandraSession:
    """Connects at first use, and brings the schema up to date then. Threads may share one.

    Every method raises: UsageError where a person has to do something, Unavailable where waiting helps.
    """

    def __init__(self, address: CassandraAddress, *, timeouts: CassandraTimeouts) -> None:
        self._address = address
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._prepared: dict[Statement, PreparedStatement] = {}
        self._lost_at_s: float | None = None

    def rows(self, statement: Statement, values: Row) -> list[Row]:
        """What one reading gives."""
        return self.rows_of_each(statement, [values])[0]

    def rows_of_each(self, statement: Statement, each: Sequence[Row]) -> list[list[Row]]:
        """What each reading gives, in order."""
        answers = self._run(statement, each)
        return [answers[number] for number in range(len(each))]

    def write_each(self, statement: Statement, each: Sequence[Row]) -> None:
        """All are stored when it returns; if it raises, any may be.

        A write that was not answered in time is sent again, with its own timestamp.
        """
        self._run(statement, each)

    def decide(self, statement: Statement, values: Row) -> bool | None:
        """Whether a lightweight transaction was applied; None if that is not known."""
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
        """Close the connections and end the driver's threads; the next use connects anew."""
        with self._lock:
            session, self._session = self._session, None
            self._prepared = {}
            self._lost_at_s = None
        if session is not None:
            session.cluster.shutdown()

    def _run(self, statement: Statement, each: Sequence[Row]) -> dict[int, list[Row]]:
        """The rows that each execution gave, by its place."""
        answers: dict[int, list[Row]] = {}
        until_s = time.monotonic() + self._timeouts.patience_s
        while len(answers) < len(each):
            with self._translating():
                window = self._window(statement)
                window.run((number, values) for number, values in enumerate(each) if number not in answers)
                answers |= window.answers
                _classify(window.errors, late=time.monotonic() > until_s)
        return answers

    def _window(self, statement: Statement) -> Window:
        prepared, session = self._prepare(statement), self._connected()
        return Window(
            lambda values: session.execute_async(prepared, values, execution_profile=statement.kind),
            max_in_flight=MAX_IN_FLIGHT,
        )

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
            # Every reading is bounded, by its partition or by a LIMIT.
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
                self._give_up_in_the_end()
            verdict = translated(error, self._address)
            if verdict is error:
                raise
            raise verdict from (error if isinstance(verdict, Unavailable) else None)

    def _give_up_in_the_end(self) -> None:
        """The driver looks for nodes where they were, and never again where its login was refused once.

        Whoever is lost for long is looked for by name again.
        """
        now_s = time.monotonic()
        self._lost_at_s = now_s if self._lost_at_s is None else self._lost_at_s
        if now_s - self._lost_at_s > self._timeouts.forget_s:
            self.close()


def _classify(errors: Sequence[Exception], *, late: bool) -> None:
    """Raises unless trying again may help."""
    for error in errors:
        if late or not is_unknown(error):
            raise error
