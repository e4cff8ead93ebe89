"""The behaviour of the Cassandra store beyond the contracts."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from panopticon.errors import Unavailable, UsageError
from panopticon.results.outputs import Output, encode_payload
from storage.stores import open_store
from storage.stores.cassandra import CassandraStore
from storage.stores.cassandra.connection import CassandraTimeouts
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import LIST_IMAGE, PUT_IMAGE, Statement
from storage.stores.cassandra.tables.catalogue import BUCKETS, bucket_of
from storage.stores.cassandra.tables.payloads import encode_image
from tests.contracts.examples import NOON_MS, TAGGER, failure, image, key, output
from tests.storage.stores.cassandra.keyspaces import BackDoor
from tests.storage.stores.cassandra.waiting import wait_until

IMPATIENT = CassandraTimeouts(connect_s=0.5, request_s=0.5, patience_s=1.0)


def two_runs() -> tuple[Output, Output]:
    """Return outputs with one key and one millisecond, which differ in everything else."""
    one = output(key(), fill=0.25)
    other = replace(
        one,
        vector=np.full(9, 0.75, dtype="<f4"),
        digest="d2",
        engine="another",
        libraries="another 2",
        source_sha256="6" * 64,
        width_px=1,
        height_px=2,
    )
    return one, other


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_outputs_with_one_key_and_time_one_stays_as_a_whole(
    store_url: str, order: tuple[int, int]
) -> None:
    runs = two_runs()
    with closing(CassandraStore(store_url)) as store:
        for number in order:
            store.outputs.put([runs[number]])
        read = store.outputs.get(["photo"], TAGGER)[key()]
    assert encode_payload(read) == max(encode_payload(run) for run in runs)


def test_an_output_that_comes_late_does_not_outlive_an_erasure(store_url: str) -> None:
    with closing(CassandraStore(store_url)) as store:
        store.outputs.put([output(key("seen"))])
        store.outputs.erase(["seen", "unseen"])
        store.outputs.put([output(key("seen")), output(key("unseen"), produced_at_ms=0)])
        assert store.outputs.get(["seen", "unseen"], TAGGER) == {}


def test_an_erasure_leaves_nothing_on_the_lists(store_url: str, back_door: BackDoor) -> None:
    with closing(CassandraStore(store_url)) as store:
        store.outputs.put_failures([failure(key())])
        store.outputs.erase(["photo"])
    assert back_door.run("SELECT count(*) FROM {}.failures_by_day") == [(0,)]


def test_a_time_before_1970_is_ordered_like_any_other(store_url: str) -> None:
    early = replace(image(), occurred_at_ms=-1)
    with closing(CassandraStore(store_url)) as store:
        store.catalogue.put([image(), early])
        assert store.catalogue.get(["photo"]) == {"photo": image()}


def test_a_store_that_is_not_used_connects_to_nothing() -> None:
    with closing(open_store("cassandra://nobody.invalid/photos")) as store:
        assert store.counts is None


@pytest.mark.parametrize("host", ["127.0.0.1:9", "nobody.invalid"])
def test_a_cluster_that_cannot_be_reached_is_unavailable(
    host: str, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"cassandra://me:secret@{host}/photos"
    with closing(CassandraStore(url, timeouts=IMPATIENT)) as store, pytest.raises(Unavailable) as caught:
        store.outputs.versions_of("photo")
    assert caught.value.component == "store"
    assert "secret" not in str(caught.value) + "".join(capfd.readouterr())


def test_a_cafile_without_a_certificate_is_refused(store_url: str) -> None:
    store = CassandraStore(f"{store_url}&cafile={__file__}")
    with pytest.raises(UsageError, match="holds no certificate"):
        store.registry.models()


def test_closing_ends_the_threads_of_the_driver(store_url: str) -> None:
    before = set(threading.enumerate())
    store = CassandraStore(store_url)
    store.outputs.put([output(key(), produced_at_ms=NOON_MS)])
    store.close()
    wait_until(lambda: {each.name for each in set(threading.enumerate()) - before} <= {"event_loop"})


def test_a_closed_store_opens_again_at_its_next_use(store_url: str) -> None:
    with closing(CassandraStore(store_url)) as store:
        store.outputs.put([output(key())])
        store.close()
        assert list(store.outputs.get(["photo"], TAGGER)) == [key()]


def test_an_image_is_listed_before_its_row_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Statement] = []
    monkeypatch.setattr(CassandraSession, "write_each", lambda _, statement, rows: written.append(statement))
    CassandraStore("cassandra://h/keyspace").catalogue.put([image("a")])
    assert written == [LIST_IMAGE, PUT_IMAGE]


def test_rows_of_a_release_without_the_list_can_be_added_to_it(back_door: BackDoor) -> None:
    with closing(open_store(back_door.url)) as store:
        payload = encode_image(image("old"))
        back_door.run("INSERT INTO {}.catalogue (image_id, payload) VALUES ('old', %s)", payload)
        assert (store.images.image_ids(limit=9), store.images.count()) == ([], 0)
        store.images.add(["old"])
        assert store.images.image_ids(limit=9) == ["old"]


def test_the_bucket_of_an_id_never_changes() -> None:
    # The first bytes of the SHA-256 of "a".
    assert bucket_of("a") == 0xCA97 % 4096
    assert len({bucket_of(f"photo-{number}") for number in range(100_000)}) == BUCKETS
