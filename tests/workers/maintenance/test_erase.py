"""Erased images are gone and stay gone, and whatever comes back is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from panopticon.errors import Unavailable
from panopticon.messages import MAX_REVISION, ImageMessage, Lane, decode_image_message, encode
from tests.contracts.examples import (
    NOON_MS,
    QUALITY,
    TAGGER,
    deletion,
    image,
    key,
    output,
    part,
    result,
    retrying,
)
from tests.house import House, open_house
from workers.maintenance.erase import Erased, Eraser, Remains

NOW_MS = NOON_MS + 60_000
TEMPLATE = "file:///photos/{image_id}"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path, originals=TEMPLATE) as house:
        house.register()
        yield house


def eraser(house: House) -> Eraser:
    return Eraser(store=house.store, search=house.search, broker=house.broker, originals=TEMPLATE)


def erase(house: House, *image_ids: str) -> Erased:
    return eraser(house).erase(image_ids, now_ms=NOW_MS)


def check(house: House, *image_ids: str) -> Remains:
    return eraser(house).check(image_ids)


def plant(house: House, image_id: str, *, revision: int = 3) -> None:
    """Keep an image everywhere, with two outputs of one model and a failure of another."""
    house.plant(image_id, outputs={TAGGER: {"tabby": 0.9}})
    house.plant(image_id, revision=revision, outputs={TAGGER: {"tabby": 0.9}}, failures=[QUALITY])


class TestErase:
    def test_outputs_and_failures_of_every_version_and_revision_are_gone(self, house: House) -> None:
        plant(house, "me")
        erased = erase(house, "me")
        assert (erased.images, erased.outputs, erased.failures) == (1, 2, 1)
        assert house.store.outputs.versions_of("me") == []
        assert house.store.outputs.failures_of(["me"]) == []

    def test_other_images_are_as_they_were(self, house: House) -> None:
        plant(house, "me")
        plant(house, "another")
        erase(house, "me")
        assert len(house.store.outputs.versions_of("another")) == 2
        assert len(house.store.outputs.failures_of(["another"])) == 1
        assert house.row("another") == image("another", revision=3)

    def test_a_tombstone_of_the_next_revision_stays_without_the_original_s_uri(self, house: House) -> None:
        plant(house, "me", revision=3)
        assert erase(house, "me").revisions == {"me": 4}
        row = house.row("me")
        assert (row.revision, row.deleted, row.image_uri) == (4, True, "")

    def test_the_indexer_writes_the_same_tombstone_and_search_does_not_find_the_image_any_more(
        self, house: House
    ) -> None:
        plant(house, "me")
        erase(house, "me")
        house.index()
        assert (house.row("me").revision, house.row("me").deleted) == (4, True)
        document = house.document("me")
        assert (document.deleted, document.parts, document.revision) == (True, {}, 4)

    def test_an_erasure_sends_models_no_message(self, house: House) -> None:
        plant(house, "me")
        erase(house, "me")
        assert check(house, "me").in_flight == 0

    def test_erasing_again_changes_nothing(self, house: House) -> None:
        plant(house, "me")
        erase(house, "me")
        house.index()
        again = erase(house, "me")
        assert (again.images, again.outputs, again.failures, again.revisions) == (1, 0, 0, {"me": 4})

    def test_erasing_again_before_the_indexer_ran_changes_nothing_either(self, house: House) -> None:
        plant(house, "me")
        erase(house, "me")
        assert erase(house, "me").revisions == {"me": 4}

    def test_a_tombstone_with_the_original_s_uri_is_replaced(self, house: House) -> None:
        plant(house, "me")
        mine = replace(image("me", revision=5, event="deleted"), image_uri="file:///home/ann/me.jpg")
        house.store.catalogue.put([mine])
        assert erase(house, "me").revisions == {"me": 6}
        assert house.row("me").image_uri == ""

    def test_a_tombstone_with_the_uri_that_the_settings_make_is_kept(self, house: House) -> None:
        house.store.catalogue.put([image("me", revision=5, event="deleted")])
        assert erase(house, "me").revisions == {"me": 5}

    def test_the_tombstone_is_newer_than_an_output_that_is_newer_than_the_catalogue(
        self, house: House
    ) -> None:
        plant(house, "me", revision=3)
        house.store.outputs.put([output(key("me", revision=8))])
        assert erase(house, "me").revisions == {"me": 9}

    def test_an_image_that_is_known_by_an_output_alone_is_erased(self, house: House) -> None:
        house.store.outputs.put([output(key("me", revision=2))])
        assert erase(house, "me").revisions == {"me": 3}
        assert house.row("me").deleted

    def test_the_tombstone_of_the_highest_possible_revision_has_that_revision(self, house: House) -> None:
        plant(house, "me", revision=MAX_REVISION)
        assert erase(house, "me").revisions == {"me": MAX_REVISION}
        assert house.row("me").deleted

    def test_an_id_under_which_nothing_is_kept_is_counted_and_gets_no_tombstone(self, house: House) -> None:
        plant(house, "me")
        erased = erase(house, "me", "typing error")
        assert (erased.images, erased.unknown) == (1, ("typing error",))
        assert house.store.catalogue.get(["typing error"]) == {}
        (published,) = house.take(house.broker.catalogue())
        assert decode_image_message(published.body).image_id == "me"

    def test_more_images_than_one_chunk_are_all_erased(self, house: House) -> None:
        names = [f"photo-{number}" for number in range(1201)]
        house.plant(*names, outputs={TAGGER: {"tabby": 0.9}}, document=False)
        erased = erase(house, *names)
        assert (erased.images, erased.outputs) == (1201, 1201)
        assert check(house, *names).kept == []

    def test_an_erasure_that_is_interrupted_by_an_outage_is_finished_by_the_next_call(
        self, house: House
    ) -> None:
        plant(house, "me")
        house.journal.down = {"outputs.erase"}
        with pytest.raises(Unavailable):
            erase(house, "me")
        house.journal.down.clear()
        assert house.row("me").deleted
        assert not check(house, "me").clean
        erase(house, "me")
        assert check(house, "me").clean


class TestCheck:
    def test_after_the_indexer_nothing_remains_and_nothing_can_come(self, house: House) -> None:
        plant(house, "me")
        erase(house, "me")
        house.index()
        assert check(house, "me").final

    def test_search_may_still_find_the_image_until_the_indexer_has_run(self, house: House) -> None:
        plant(house, "me")
        erase(house, "me")
        remains = check(house, "me")
        assert (remains.searchable, remains.clean, remains.final) == (["me"], True, False)

    def test_an_erasure_is_not_final_while_an_upload_waits_for_the_indexer(self, house: House) -> None:
        plant(house, "me", revision=3)
        erase(house, "me")
        house.index()
        later = ImageMessage(image_id="me", revision=9)
        house.broker.catalogue().submit([encode(later)], Lane.LIVE)
        assert (check(house, "me").clean, check(house, "me").final) == (True, False)
        house.index()
        assert not check(house, "me").clean

    def test_search_that_lost_the_erasure_is_not_clean_once_no_message_is_on_its_way(
        self, house: House
    ) -> None:
        plant(house, "me")
        erase(house, "me")
        house.take(house.broker.catalogue())
        assert not check(house, "me").clean
        erase(house, "me")
        house.index()
        assert check(house, "me").final

    def test_an_image_that_was_not_erased_is_named(self, house: House) -> None:
        plant(house, "me")
        (record,) = check(house, "me").kept
        assert (len(record.outputs), len(record.failures), record.in_catalogue) == (2, 1, True)

    def test_an_erasure_is_not_final_while_a_worker_holds_a_message(self, house: House) -> None:
        plant(house, "me")
        house.broker.model_queue(TAGGER).submit([encode(ImageMessage(image_id="me"))], Lane.LIVE)
        house.broker.model_queue(TAGGER).receive(max_live=1, max_backfill=0, wait_s=0)
        erase(house, "me")
        house.index()
        remains = check(house, "me")
        assert (remains.in_flight, remains.clean, remains.final) == (1, True, False)

    def test_messages_on_a_retry_delay_do_not_keep_an_erasure_from_being_final(self, house: House) -> None:
        plant(house, "me")
        house.store.outputs.put_failures([retrying(key("me", revision=3))])
        queue = house.broker.model_queue(TAGGER)
        queue.submit([encode(ImageMessage(image_id=image_id)) for image_id in ("me", "another")], Lane.LIVE)
        for delivery in queue.receive(max_live=2, max_backfill=0, wait_s=0):
            queue.retry(delivery, delay_s=3600)
        erase(house, "me")
        assert house.store.outputs.failures_of(["me"]) == []
        house.index()
        remains = check(house, "me")
        assert (remains.delayed, remains.in_flight, remains.final) == (2, 0, True)

    def test_a_record_of_a_retry_delay_that_is_stored_afterwards_is_named(self, house: House) -> None:
        plant(house, "me")
        erase(house, "me")
        house.index()
        late = retrying(key("me", revision=3), last_at_ms=NOW_MS + 5)
        house.store.outputs.put_failures([late])
        assert [record.failures for record in check(house, "me").kept] == [[late]]
        erase(house, "me")
        house.index()
        assert check(house, "me").final

    def test_an_output_stored_afterwards_is_named_and_erased_by_the_next_call(self, house: House) -> None:
        plant(house, "me")
        erase(house, "me")
        late = replace(output(key("me", revision=3)), produced_at_ms=NOW_MS + 5)
        house.store.outputs.put([late])
        house.index()
        remains = check(house, "me")
        assert [record.image_id for record in remains.kept] == ["me"]
        assert not remains.clean
        erase(house, "me")
        house.index()
        assert check(house, "me").final

    def test_a_late_result_does_not_bring_the_image_back_to_search(self, house: House) -> None:
        plant(house, "me", revision=3)
        erase(house, "me")
        house.index()
        house.search.apply([result("me", part(revision=3, cat=0.9))])
        assert check(house, "me").searchable == []

    def test_a_deleted_document_is_not_searchable(self, house: House) -> None:
        house.search.apply([deletion("me")])
        assert check(house, "me").searchable == []
