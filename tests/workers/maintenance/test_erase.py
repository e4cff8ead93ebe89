"""Erased images are gone and stay gone, and whatever comes back is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from panopticon.errors import Unavailable
from panopticon.messages import MAX_REVISION, ImageMessage, Lane, decode_image_message, encode
from panopticon.metrics import Metrics
from panopticon.results.outputs import CatalogueImage
from panopticon.settings import Settings
from storage.search.sqlite import SqliteSearchIndex
from storage.stores.sqlite import SqliteStore
from tests.contracts.examples import (
    NOON_MS,
    QUALITY,
    TAGGER,
    deletion,
    failure,
    image,
    key,
    output,
    part,
    result,
)
from workers.indexer.indexer import Indexer
from workers.maintenance.erase import Erased, Eraser, Remains
from workers.queues.sqlite import SqliteBroker

NOW_MS = NOON_MS + 60_000
TEMPLATE = "file:///photos/{image_id}"


@dataclass(kw_only=True)
class Bench:
    url: str
    store: SqliteStore
    broker: SqliteBroker
    search: SqliteSearchIndex

    @property
    def eraser(self) -> Eraser:
        return Eraser(store=self.store, search=self.search, broker=self.broker, originals=TEMPLATE)

    def erase(self, *image_ids: str) -> Erased:
        return self.eraser.erase(image_ids, now_ms=NOW_MS)

    def check(self, *image_ids: str) -> Remains:
        return self.eraser.check(image_ids)

    def plant(self, image_id: str, *, revision: int = 3) -> None:
        """Keep an image everywhere, with outputs of one model and a failure of another."""
        row = replace(image(image_id, revision=revision), image_uri="file:///home/ann/me.jpg")
        self.store.catalogue.put([row])
        self.store.outputs.put([output(key(image_id, revision=number)) for number in (0, revision)])
        self.store.outputs.put_failures([failure(key(image_id, version=QUALITY, revision=revision))])
        self.search.apply([result(image_id, part(revision=revision, cat=0.9))])

    def row(self, image_id: str) -> CatalogueImage:
        return self.store.catalogue.get([image_id])[image_id]

    def index(self) -> None:
        """Apply waiting messages to catalogue and search."""
        settings = Settings(database=self.url, originals=TEMPLATE)
        indexer = Indexer(
            settings=settings, broker=self.broker, store=self.store, search=self.search, metrics=Metrics()
        )
        while indexer.turn():
            pass

    def published(self) -> Sequence[ImageMessage]:
        deliveries = self.broker.catalogue().receive(max_live=99, max_backfill=99, wait_s=0)
        self.broker.catalogue().requeue(deliveries)
        return [decode_image_message(delivery.body) for delivery in deliveries]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path}/house.db"
    with closing(SqliteStore(url)) as store, closing(SqliteBroker(url)) as broker:
        for version in (TAGGER, QUALITY):
            broker.topology.bind(version)
        yield Bench(url=url, store=store, broker=broker, search=SqliteSearchIndex(url))


class TestErase:
    def test_outputs_and_failures_of_every_version_and_revision_are_gone(self, bench: Bench) -> None:
        bench.plant("me")
        erased = bench.erase("me")
        assert (erased.images, erased.outputs, erased.failures) == (1, 2, 1)
        assert bench.store.outputs.versions_of("me") == []
        assert bench.store.outputs.failures_of(["me"]) == []

    def test_other_images_are_as_they_were(self, bench: Bench) -> None:
        bench.plant("me")
        bench.plant("another")
        bench.erase("me")
        assert len(bench.store.outputs.versions_of("another")) == 2
        assert len(bench.store.outputs.failures_of(["another"])) == 1
        assert bench.row("another").image_uri == "file:///home/ann/me.jpg"

    def test_a_tombstone_of_the_next_revision_stays_without_the_original_s_uri(self, bench: Bench) -> None:
        bench.plant("me", revision=3)
        assert bench.erase("me").revisions == {"me": 4}
        row = bench.row("me")
        assert (row.revision, row.deleted, row.image_uri) == (4, True, "")

    def test_the_indexer_writes_the_same_tombstone_and_search_does_not_find_the_image_any_more(
        self, bench: Bench
    ) -> None:
        bench.plant("me")
        bench.erase("me")
        bench.index()
        assert (bench.row("me").revision, bench.row("me").deleted) == (4, True)
        document = bench.search.get(["me"])["me"]
        assert (document.deleted, document.parts, document.revision) == (True, {}, 4)

    def test_an_erasure_sends_models_no_message(self, bench: Bench) -> None:
        bench.plant("me")
        bench.erase("me")
        assert bench.check("me").in_flight == 0

    def test_erasing_again_changes_nothing(self, bench: Bench) -> None:
        bench.plant("me")
        bench.erase("me")
        bench.index()
        again = bench.erase("me")
        assert (again.images, again.outputs, again.failures, again.revisions) == (1, 0, 0, {"me": 4})

    def test_erasing_again_before_the_indexer_ran_changes_nothing_either(self, bench: Bench) -> None:
        bench.plant("me")
        bench.erase("me")
        assert bench.erase("me").revisions == {"me": 4}

    def test_a_tombstone_with_the_original_s_uri_is_replaced(self, bench: Bench) -> None:
        bench.plant("me")
        mine = replace(image("me", revision=5, event="deleted"), image_uri="file:///home/ann/me.jpg")
        bench.store.catalogue.put([mine])
        assert bench.erase("me").revisions == {"me": 6}
        assert bench.row("me").image_uri == ""

    def test_a_tombstone_with_the_uri_that_the_settings_make_is_kept(self, bench: Bench) -> None:
        bench.store.catalogue.put([image("me", revision=5, event="deleted")])
        assert bench.erase("me").revisions == {"me": 5}

    def test_the_tombstone_is_newer_than_an_output_that_is_newer_than_the_catalogue(
        self, bench: Bench
    ) -> None:
        bench.plant("me", revision=3)
        bench.store.outputs.put([output(key("me", revision=8))])
        assert bench.erase("me").revisions == {"me": 9}

    def test_an_image_that_is_known_by_an_output_alone_is_erased(self, bench: Bench) -> None:
        bench.store.outputs.put([output(key("me", revision=2))])
        assert bench.erase("me").revisions == {"me": 3}
        assert bench.row("me").deleted

    def test_the_tombstone_of_the_highest_possible_revision_has_that_revision(self, bench: Bench) -> None:
        bench.plant("me", revision=MAX_REVISION)
        assert bench.erase("me").revisions == {"me": MAX_REVISION}
        assert bench.row("me").deleted

    def test_an_id_under_which_nothing_is_kept_is_counted_and_gets_no_tombstone(self, bench: Bench) -> None:
        bench.plant("me")
        erased = bench.erase("me", "typing error")
        assert (erased.images, erased.unknown) == (1, ("typing error",))
        assert bench.store.catalogue.get(["typing error"]) == {}
        assert [message.image_id for message in bench.published()] == ["me"]

    def test_more_images_than_one_chunk_are_all_erased(self, bench: Bench) -> None:
        names = [f"photo-{number}" for number in range(1201)]
        bench.store.catalogue.put([image(name) for name in names])
        bench.store.outputs.put([output(key(name)) for name in names])
        erased = bench.erase(*names)
        assert (erased.images, erased.outputs) == (1201, 1201)
        assert bench.check(*names).kept == []

    def test_an_erasure_that_is_interrupted_by_an_outage_is_finished_by_the_next_call(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.plant("me")

        def down(self: object, image_ids: object) -> None:
            raise Unavailable("store", "a test took it down")

        with monkeypatch.context() as patch:
            patch.setattr("storage.stores.sqlite.outputs.SqliteOutputStore.erase", down)
            with pytest.raises(Unavailable):
                bench.erase("me")
        assert bench.row("me").deleted
        assert not bench.check("me").clean
        bench.erase("me")
        assert bench.check("me").clean


class TestCheck:
    def test_after_the_indexer_nothing_remains_and_nothing_can_come(self, bench: Bench) -> None:
        bench.plant("me")
        bench.erase("me")
        bench.index()
        assert bench.check("me").final

    def test_search_may_still_find_the_image_until_the_indexer_has_run(self, bench: Bench) -> None:
        bench.plant("me")
        bench.erase("me")
        remains = bench.check("me")
        assert (remains.searchable, remains.clean, remains.final) == (["me"], True, False)

    def test_an_erasure_is_not_final_while_an_upload_waits_for_the_indexer(self, bench: Bench) -> None:
        bench.plant("me", revision=3)
        bench.erase("me")
        bench.index()
        later = ImageMessage(image_id="me", revision=9)
        bench.broker.catalogue().submit([encode(later)], Lane.LIVE)
        assert (bench.check("me").clean, bench.check("me").final) == (True, False)
        bench.index()
        assert not bench.check("me").clean

    def test_search_that_lost_the_erasure_is_not_clean_once_no_message_is_on_its_way(
        self, bench: Bench
    ) -> None:
        bench.plant("me")
        bench.erase("me")
        bench.broker.catalogue().ack(bench.broker.catalogue().receive(max_live=9, max_backfill=9, wait_s=0))
        assert not bench.check("me").clean
        bench.erase("me")
        bench.index()
        assert bench.check("me").final

    def test_an_image_that_was_not_erased_is_named(self, bench: Bench) -> None:
        bench.plant("me")
        (record,) = bench.check("me").kept
        assert (len(record.outputs), len(record.failures), record.in_catalogue) == (2, 1, True)

    def test_an_erasure_is_not_final_while_a_worker_holds_a_message(self, bench: Bench) -> None:
        bench.plant("me")
        bench.broker.model_queue(TAGGER).submit([encode(ImageMessage(image_id="me"))], Lane.LIVE)
        bench.broker.model_queue(TAGGER).receive(max_live=1, max_backfill=0, wait_s=0)
        bench.erase("me")
        bench.index()
        remains = bench.check("me")
        assert (remains.in_flight, remains.clean, remains.final) == (1, True, False)

    def test_an_output_stored_afterwards_is_named_and_erased_by_the_next_call(self, bench: Bench) -> None:
        bench.plant("me")
        bench.erase("me")
        late = replace(output(key("me", revision=3)), produced_at_ms=NOW_MS + 5)
        bench.store.outputs.put([late])
        bench.index()
        remains = bench.check("me")
        assert [record.image_id for record in remains.kept] == ["me"]
        assert not remains.clean
        bench.erase("me")
        bench.index()
        assert bench.check("me").final

    def test_a_late_result_does_not_bring_the_image_back_to_search(self, bench: Bench) -> None:
        bench.plant("me", revision=3)
        bench.erase("me")
        bench.index()
        bench.search.apply([result("me", part(revision=3, cat=0.9))])
        assert bench.check("me").searchable == []

    def test_a_deleted_document_is_not_searchable(self, bench: Bench) -> None:
        bench.search.apply([deletion("me")])
        assert bench.check("me").searchable == []
