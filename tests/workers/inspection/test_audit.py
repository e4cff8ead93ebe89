"""An audit finds every planted loss, and reports none before it can be sure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from panopticon.messages import ImageMessage, Lane, decode_image_message, encode
from panopticon.registry.records import VersionEntry, VersionState
from panopticon.results.outputs import FailureState
from tests.contracts.examples import (
    QUALITY,
    TAGGER,
    deletion,
    failure,
    image,
    key,
    output,
    part,
    result,
    retrying,
)
from tests.house import House
from workers.inspection.audit import RETRY_MARGIN_MS, Audit, AuditResult, AuditStatus

ENTRY = VersionEntry(
    version=1, digest="d1", state=VersionState.ACTIVE, labels=("a",), policy_toml="", policy_number=2
)


SETTLE_S = 5.0


def audit(house: House, entry: VersionEntry = ENTRY) -> Audit:
    return Audit(
        store=house.store,
        search=house.search,
        broker=house.broker,
        versions={TAGGER: entry},
        clock=house.clock.time,
    )


def audited(house: House, image_id: str = "photo", entry: VersionEntry = ENTRY) -> AuditResult:
    """Audit one image; the clock sleeps where the audit lets queues settle."""
    (only,) = audit(house, entry).results([image_id], settle=lambda: house.clock.sleep(SETTLE_S))
    return only


def status(house: House, image_id: str = "photo", entry: VersionEntry = ENTRY) -> AuditStatus:
    return audited(house, image_id, entry).status


def store_and_index(house: House) -> None:
    house.store.outputs.put([output(key())])
    house.search.apply([result("photo", part(cat=0.9, policy_number=2))])


def test_a_stored_and_searchable_image_is_stored_without_a_second_look(house: House) -> None:
    house.store.catalogue.put([image()])
    store_and_index(house)
    began_s = house.clock.now_s
    assert (status(house), house.clock.now_s) == (AuditStatus.STORED, began_s)


def test_a_dead_image_is_dead_with_its_reason(house: House) -> None:
    house.store.catalogue.put([image()])
    house.store.outputs.put_failures([failure(key(), reason="corrupt")])
    assert (audited(house).status, audited(house).reason) == (AuditStatus.DEAD, "corrupt")


def test_an_image_with_a_failure_of_an_older_revision_is_lost(house: House) -> None:
    house.store.catalogue.put([image(revision=1)])
    house.store.outputs.put_failures([failure(key())])
    assert status(house) is AuditStatus.LOST


def test_an_image_with_a_replayed_failure_is_lost(house: House) -> None:
    house.store.catalogue.put([image()])
    house.store.outputs.put_failures([failure(key(), state=FailureState.REPLAYED)])
    assert status(house) is AuditStatus.LOST


def test_a_deleted_image_is_skipped(house: House) -> None:
    house.store.catalogue.put([image(event="deleted")])
    house.search.apply([deletion("photo")])
    assert status(house) is AuditStatus.SKIPPED


def test_an_image_of_a_retired_version_is_skipped(house: House) -> None:
    house.store.catalogue.put([image()])
    assert status(house, entry=replace(ENTRY, state=VersionState.RETIRED)) is AuditStatus.SKIPPED


def test_no_image_is_lost_under_a_version_that_gets_no_uploads(house: House) -> None:
    house.store.catalogue.put([image()])
    assert status(house, entry=replace(ENTRY, state=VersionState.REGISTERED)) is AuditStatus.PENDING


def test_an_image_that_is_in_no_queue_and_not_stored_is_lost(house: House) -> None:
    house.store.catalogue.put([image()])
    began_s = house.clock.now_s
    assert (status(house), house.clock.now_s) == (AuditStatus.LOST, began_s + SETTLE_S)


def test_an_output_of_an_older_revision_does_not_count(house: House) -> None:
    house.store.catalogue.put([image(revision=1)])
    store_and_index(house)
    assert status(house) is AuditStatus.LOST


@pytest.mark.parametrize("lane", list(Lane))
def test_nothing_is_lost_while_its_queue_holds_a_message(house: House, lane: Lane) -> None:
    house.store.catalogue.put([image()])
    house.broker.model_queue(TAGGER).submit([b"{}"], lane)
    assert status(house) is AuditStatus.PENDING


def test_nothing_is_lost_while_a_worker_holds_a_message(house: House) -> None:
    house.store.catalogue.put([image()])
    queue = house.broker.model_queue(TAGGER)
    queue.submit([b"{}"], Lane.LIVE)
    queue.receive(max_live=1, max_backfill=0, wait_s=0)
    assert status(house) is AuditStatus.PENDING


def put_on_delay(house: House, image_id: str, *, delay_s: float = 3600) -> None:
    """Put a message on a retry delay, with the record that a worker stores before."""
    now_ms = int(house.clock.time() * 1000)
    house.store.outputs.put_failures([retrying(key(image_id), last_at_ms=now_ms, delay_s=delay_s)])
    queue = house.broker.model_queue(TAGGER)
    queue.submit([encode(ImageMessage(image_id=image_id))], Lane.LIVE)
    (delivery,) = queue.receive(max_live=1, max_backfill=0, wait_s=0)
    queue.retry(delivery, delay_s=delay_s)


class TestRetryDelays:
    def test_an_image_on_a_delay_is_pending_with_its_next_try_and_needs_no_second_look(
        self, house: House
    ) -> None:
        house.store.catalogue.put([image()])
        put_on_delay(house, "photo")
        began_s = house.clock.now_s
        found = audited(house)
        assert (found.status, found.reason, found.open) == (AuditStatus.PENDING, "io_error", False)
        assert (found.next_try_at_ms, house.clock.now_s) == (round((began_s + 3600) * 1000), began_s)

    def test_a_lost_image_is_found_while_another_is_on_a_delay(self, house: House) -> None:
        house.store.catalogue.put([image("lost"), image("waits")])
        put_on_delay(house, "waits")
        assert [status(house, "lost"), status(house, "waits")] == [AuditStatus.LOST, AuditStatus.PENDING]

    def test_an_image_stored_while_another_is_on_a_delay_can_be_missing_in_search(self, house: House) -> None:
        house.store.catalogue.put([image()])
        house.store.outputs.put([output(key())])
        put_on_delay(house, "waits")
        assert status(house) is AuditStatus.NOT_IN_SEARCH

    def test_a_lost_image_with_an_overdue_record_is_found_once_nothing_is_on_a_delay(
        self, house: House
    ) -> None:
        house.store.catalogue.put([image()])
        put_on_delay(house, "photo", delay_s=60)
        house.clock.now_s += 60
        house.take(house.broker.model_queue(TAGGER))
        assert status(house) is AuditStatus.PENDING
        house.clock.now_s += 61
        assert (status(house), audited(house).overdue) == (AuditStatus.LOST, True)

    def test_an_overdue_image_alone_cannot_be_decided_while_others_are_on_a_delay(self, house: House) -> None:
        house.store.catalogue.put([image("overdue"), image("waits"), image("lost")])
        put_on_delay(house, "overdue", delay_s=60)
        house.clock.now_s += 180
        house.take(house.broker.model_queue(TAGGER))
        put_on_delay(house, "waits")
        ids = ["overdue", "waits", "lost"]
        results = audit(house).results(ids, settle=lambda: house.clock.sleep(SETTLE_S))
        assert [(result.status, result.open) for result in results] == [
            (AuditStatus.PENDING, True),
            (AuditStatus.PENDING, False),
            (AuditStatus.LOST, False),
        ]

    def test_a_message_that_is_late_within_the_margin_is_not_overdue(self, house: House) -> None:
        house.store.catalogue.put([image()])
        put_on_delay(house, "photo", delay_s=60)
        house.clock.now_s += 60 + RETRY_MARGIN_MS / 1000
        assert not audited(house).overdue

    def test_a_record_from_the_future_hides_no_loss(self, house: House) -> None:
        house.store.catalogue.put([image()])
        a_day_ahead_ms = int((house.clock.now_s + 86_400) * 1000)
        house.store.outputs.put_failures([retrying(key(), last_at_ms=a_day_ahead_ms)])
        assert status(house) is AuditStatus.LOST

    def test_a_record_of_an_older_revision_hides_no_loss(self, house: House) -> None:
        house.store.catalogue.put([image(revision=1)])
        put_on_delay(house, "photo")
        assert status(house) is AuditStatus.LOST

    def test_an_image_on_a_delay_that_was_deleted_is_skipped(self, house: House) -> None:
        house.store.catalogue.put([image(event="deleted")])
        put_on_delay(house, "photo")
        assert status(house) is AuditStatus.SKIPPED

    def test_an_image_that_is_put_on_a_delay_between_the_looks_is_pending(self, house: House) -> None:
        house.store.catalogue.put([image()])
        house.clock.on_sleep = lambda: put_on_delay(house, "photo")
        assert status(house) is AuditStatus.PENDING

    def test_a_record_whose_message_is_leased_again_leaves_the_image_pending(self, house: House) -> None:
        house.store.catalogue.put([image()])
        put_on_delay(house, "photo", delay_s=60)
        house.clock.now_s += 600
        house.broker.model_queue(TAGGER).receive(max_live=1, max_backfill=0, wait_s=0)
        assert status(house) is AuditStatus.PENDING


def test_nothing_is_lost_if_its_queue_was_empty_at_the_second_look_only(house: House) -> None:
    house.store.catalogue.put([image()])
    queue = house.broker.model_queue(TAGGER)
    queue.submit([b"{}"], Lane.LIVE)
    house.clock.on_sleep = lambda: house.take(queue)
    assert status(house) is AuditStatus.PENDING


def test_nothing_is_lost_while_the_catalogue_is_behind(house: House) -> None:
    house.store.catalogue.put([image()])
    house.broker.catalogue().submit([b"{}"], Lane.LIVE)
    assert status(house) is AuditStatus.PENDING


def test_an_image_is_lost_though_another_version_s_queue_has_messages(house: House) -> None:
    house.store.catalogue.put([image()])
    house.broker.model_queue(QUALITY).submit([b"{}"], Lane.LIVE)
    assert status(house) is AuditStatus.LOST


def test_an_image_stored_between_the_looks_is_stored(house: House) -> None:
    house.store.catalogue.put([image()])
    house.clock.on_sleep = lambda: store_and_index(house)
    assert status(house) is AuditStatus.STORED


def test_an_image_with_a_new_revision_between_the_looks_is_pending(house: House) -> None:
    house.store.catalogue.put([image()])
    house.clock.on_sleep = lambda: house.store.catalogue.put([image(revision=1)])
    assert status(house) is AuditStatus.PENDING


def test_an_id_that_nobody_submitted_is_unknown(house: House) -> None:
    assert status(house, "nobody") is AuditStatus.UNKNOWN


def test_an_id_may_be_on_its_way_to_the_catalogue(house: House) -> None:
    house.broker.catalogue().submit([b"{}"], Lane.LIVE)
    assert status(house, "somebody") is AuditStatus.PENDING


def test_an_image_that_failed_before_its_row_was_written_is_dead(house: House) -> None:
    house.store.outputs.put_failures([failure(key("early"))])
    assert status(house, "early") is AuditStatus.DEAD


def test_a_stored_image_without_a_document_is_not_in_search(house: House) -> None:
    house.store.catalogue.put([image()])
    house.store.outputs.put([output(key())])
    assert status(house) is AuditStatus.NOT_IN_SEARCH


def test_a_document_by_an_older_policy_does_not_count(house: House) -> None:
    house.store.catalogue.put([image()])
    house.store.outputs.put([output(key())])
    house.search.apply([result("photo", part(cat=0.9, policy_number=1))])
    assert status(house) is AuditStatus.NOT_IN_SEARCH


def test_a_document_with_another_version_s_part_does_not_count(house: House) -> None:
    house.store.catalogue.put([image()])
    house.store.outputs.put([output(key())])
    house.search.apply([result("photo", part(cat=0.9, policy_number=2), name="quality_1")])
    assert status(house) is AuditStatus.NOT_IN_SEARCH


def test_a_stored_image_whose_result_may_be_on_its_way_is_stored(house: House) -> None:
    house.store.catalogue.put([image()])
    house.store.outputs.put([output(key())])
    house.broker.results().submit([b"{}"], Lane.BACKFILL)
    assert (audited(house).status, audited(house).open) == (AuditStatus.STORED, True)


def test_results_are_in_the_order_of_the_ids_over_many_chunks(house: House) -> None:
    ids = [f"photo-{number:04}" for number in range(1200)]
    house.store.catalogue.put([image(image_id) for image_id in ids if image_id != "photo-0777"])
    house.store.outputs.put_failures([failure(key(image_id)) for image_id in ids[:700]])
    results = audit(house).results(ids, settle=lambda: None)
    assert [result.image_id for result in results] == ids
    assert [v.image_id for v in results if v.status is AuditStatus.UNKNOWN] == ["photo-0777"]
    assert sum(result.status is AuditStatus.DEAD for result in results) == 700
    assert sum(result.status is AuditStatus.LOST for result in results) == 499


def test_only_images_that_are_lost_or_not_in_search_are_submitted_again(house: House) -> None:
    house.store.catalogue.put([image("lost", revision=3), image("unindexed"), image("dead")])
    house.store.outputs.put([output(key("unindexed"))])
    house.store.outputs.put_failures([failure(key("dead"))])
    results = audit(house).results(["lost", "unindexed", "dead", "nobody"], settle=lambda: None)
    assert audit(house).submit_again(results, now_ms=1) == 2
    assert house.broker.model_queue(TAGGER).depth()[Lane.LIVE].total == 0
    deliveries = house.take(house.broker.model_queue(TAGGER))
    lost, unindexed = (decode_image_message(delivery.body) for delivery in deliveries)
    assert (lost.image_id, lost.revision, lost.image_uri) == ("lost", 3, "file:///photos/lost")
    assert unindexed.image_id == "unindexed"
