"""Acknowledged writes survive whatever happens to a node, and the store reconnects by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from uuid import uuid4

import pytest

from panopticon.errors import Unavailable
from storage.stores.cassandra import CassandraStore
from storage.stores.cassandra.connection import CassandraTimeouts
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import OUTPUT_TIMESTAMPS
from storage.stores.cassandra.url import address_of
from tests.contracts.examples import TAGGER, key, output
from tests.recoveries import Recorder
from tests.servers.cassandra import CassandraNode
from tests.storage.stores.cassandra.keyspaces import BackDoor, at_keyspace
from tests.storage.stores.cassandra.waiting import wait_until

BATCH = 40
QUICK = CassandraTimeouts(connect_s=2.0, request_s=1.0, patience_s=3.0)


class Writer:
    """A writer of batch after batch. It repeats a failed one, like a consumer that parks and resumes."""

    def __init__(self, store: CassandraStore) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.acknowledged: list[str] = []
        self.outages = 0
        self.failure: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def wait_for_more(self) -> float:
        """Return how many seconds it takes until another batch is acknowledged."""
        before = len(self.acknowledged)
        return wait_until(lambda: len(self.acknowledged) > before or self.failure, within_s=60)

    def _write(self) -> None:
        try:
            while not self._stopping.is_set():
                self._put([f"photo-{len(self.acknowledged) + number}" for number in range(BATCH)])
        except BaseException as failure:
            self.failure = failure

    def _put(self, ids: list[str]) -> None:
        try:
            self._store.outputs.put([output(key(image_id)) for image_id in ids])
            self.acknowledged += ids
        except Unavailable:
            self.outages += 1
            self._stopping.wait(0.05)


@pytest.fixture(scope="module")
def keyspace_url(cassandra_node: CassandraNode) -> Iterator[str]:
    """A keyspace on a node that the tests started, since they break the node."""
    url = at_keyspace(cassandra_node.url, f"panopticon_test_{uuid4().hex[:12]}")
    yield url
    with BackDoor(url) as back_door:
        back_door.run("DROP KEYSPACE {}")


@contextmanager
def writing(url: str) -> Iterator[Writer]:
    """Write during the block; when it ends, every acknowledged output must be stored."""
    with closing(CassandraStore(url, timeouts=QUICK)) as store:
        writer = Writer(store)
        writer.start()
        try:
            writer.wait_for_more()
            yield writer
        finally:
            writer.stop()
        assert writer.failure is None
        found = {each.image_id for each in store.outputs.get(writer.acknowledged, TAGGER)}
        assert set(writer.acknowledged) - found == set()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_node_that_restarts_loses_nothing(
    end: str, cassandra_node: CassandraNode, keyspace_url: str, recovered: Recorder
) -> None:
    with writing(keyspace_url) as writer:
        getattr(cassandra_node, end)()
        try:
            wait_until(lambda: writer.outages)
        finally:
            cassandra_node.start()
        back_s = writer.wait_for_more()
    recovered(back_s)
    assert back_s < 15


def test_a_node_that_is_paused_for_a_long_time_loses_nothing(
    cassandra_node: CassandraNode, keyspace_url: str, recovered: Recorder
) -> None:
    with writing(keyspace_url) as writer:
        cassandra_node.pause()
        try:
            wait_until(lambda: writer.outages)
        finally:
            cassandra_node.resume()
        back_s = writer.wait_for_more()
    recovered(back_s)
    assert back_s < 15


def test_a_node_that_is_paused_for_a_moment_is_not_an_outage(
    cassandra_node: CassandraNode, keyspace_url: str
) -> None:
    with writing(keyspace_url) as writer:
        cassandra_node.pause()
        resume = threading.Timer(1.5, cassandra_node.resume)
        resume.start()
        resume.join()
        writer.wait_for_more()
        assert writer.outages == 0


class LongList(list[tuple[str]]):
    """Keys that take longer to send than the patience for one request; then the node falls silent once."""

    def __init__(self, keys: Sequence[tuple[str]], fall_silent: Callable[[], None]) -> None:
        super().__init__(keys)
        self._fall_silent = fall_silent
        self._sent_once = False

    def __iter__(self) -> Iterator[tuple[str]]:
        for number, row in enumerate(super().__iter__()):
            if number == len(self) // 2 and not self._sent_once:
                self._sent_once = True
                time.sleep(QUICK.patience_s)
                self._fall_silent()
            yield row


def test_the_patience_of_a_call_is_for_each_request_however_long_its_list_is(
    cassandra_node: CassandraNode, keyspace_url: str
) -> None:
    def fall_silent() -> None:
        cassandra_node.pause()
        threading.Timer(1.5 * QUICK.request_s, cassandra_node.resume).start()

    session = CassandraSession(address_of(keyspace_url), timeouts=QUICK)
    with closing(session):
        keys = LongList([(f"absent-{number}",) for number in range(10)], fall_silent)
        assert session.rows_of_each(OUTPUT_TIMESTAMPS, keys) == [[]] * 10


def test_the_hosts_of_a_cluster_are_resolved_again_after_a_long_outage(
    cassandra_node: CassandraNode, keyspace_url: str, recovered: Recorder
) -> None:
    forgetful = CassandraTimeouts(connect_s=2.0, request_s=1.0, patience_s=3.0, forget_s=0.2)
    with closing(CassandraStore(keyspace_url, timeouts=forgetful)) as store:
        store.outputs.put([output(key())])
        cassandra_node.kill()
        try:
            lost_s = time.monotonic()
            wait_until(lambda: not answers(store) and time.monotonic() - lost_s > 1.0)
        finally:
            cassandra_node.start()
        back_s = wait_until(lambda: answers(store))
    recovered(back_s)
    assert back_s < 15


def answers(store: CassandraStore) -> bool:
    try:
        store.outputs.versions_of("photo")
    except Unavailable:
        return False
    return True
