"""A swap whose answer is lost still returns the truth."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from panopticon.errors import Unavailable
from storage.stores.cassandra import CassandraStore
from storage.stores.cassandra.connection import CassandraTimeouts
from tests.contracts.registry import entry
from tests.storage.stores.cassandra.keyspaces import BackDoor
from tests.storage.stores.cassandra.relay import Relay
from tests.storage.stores.cassandra.waiting import wait_until

SHORT = CassandraTimeouts(request_s=0.5, patience_s=20.0)


@pytest.fixture
def relay(store_url: str) -> Iterator[Relay]:
    split = urlsplit(store_url)
    with Relay(split.hostname or "", split.port or 9042) as relay:
        yield relay


@pytest.fixture
def store(store_url: str, relay: Relay) -> Iterator[CassandraStore]:
    """A store behind the relay. It has read once, so that it is connected and its statements are prepared."""
    port = urlsplit(store_url).port
    with closing(CassandraStore(store_url.replace(f":{port}/", f":{relay.port}/"), timeouts=SHORT)) as store:
        assert store.registry.swap(None, entry())
        assert store.registry.swap(entry(), entry(serial=2))
        yield store


def serial(back_door: BackDoor) -> int:
    rows = back_door.run("SELECT serial FROM {}.registry WHERE scope = 'models' AND model = 'tagger'")
    return int(rows[0][0])


def swap_unanswered(
    pool: ThreadPoolExecutor, store: CassandraStore, relay: Relay, back_door: BackDoor
) -> Future[bool]:
    """Begin a swap whose answer is held back, until the store reads the record to see who wrote it."""
    relay.hold_answers()
    swap = pool.submit(store.registry.swap, entry(serial=2), entry(serial=3))
    wait_until(lambda: serial(back_door) == 3)
    sent = relay.sent
    wait_until(lambda: relay.sent > sent)
    return swap


def test_a_swap_that_was_applied_without_an_answer_is_reported_as_done(
    store: CassandraStore, relay: Relay, back_door: BackDoor
) -> None:
    with ThreadPoolExecutor(1) as pool:
        swap = swap_unanswered(pool, store, relay, back_door)
        relay.let_go()
        assert swap.result(timeout=30)


def test_a_swap_that_was_overtaken_without_an_answer_is_reported_as_unknown(
    store: CassandraStore, relay: Relay, back_door: BackDoor
) -> None:
    with ThreadPoolExecutor(1) as pool:
        swap = swap_unanswered(pool, store, relay, back_door)
        with closing(CassandraStore(back_door.url)) as other:
            assert other.registry.swap(entry(serial=3), entry(serial=4))
        relay.let_go()
        with pytest.raises(Unavailable, match="it is unknown whether"):
            swap.result(timeout=30)
