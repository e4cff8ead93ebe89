"""An audit finds every planted loss, and reports none before it can be sure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.messages import Lane, decode_image_message
from panopticon.registry.records import VersionEntry, VersionState
from panopticon.results.outputs import FailureState
from storage.search import open_search
from storage.stores import open_store
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
)
from workers.inspection.audit import Audit, AuditResult, AuditStatus
from workers.queues import open_broker

ENTRY = VersionEntry(
    version=1, digest="d1", state=VersionState.ACTIVE, labels=("a",), policy_toml="", policy_number=2
)


class Bench:
    """Store, broker and search; an audit of one version; and something that happens while it waits."""

    def __init__(self, store: Store, broker: Broker, search: SearchIndex) -> None:
        self.store, self.broker, self.search = store, broker, search
        self.settled = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def audit(self, entry: VersionEntry = ENTRY) -> Audit:
        return Audit(store=self.store, search=self.search, broker=self.broker, versions={TAGGER: entry})

    def result(self, image_id: str = "photo", entry: VersionEntry = ENTRY) -> AuditResult:
        (result,) = self.audit(entry).results([image_id], settle=self._settle)
        return result

    def status(self, image_id: str = "photo", entry: VersionEntry = ENTRY) -> AuditStatus:
        return self.result(image_id, entry).status

    def store_and_index(self) -> None:
        self.store.outputs.put([output(key())])
        self.search.apply([result("photo", part(cat=0.9, policy_number=2))])

    def _settle(self) -> None:
        self.settled += 1
        self.meanwhile()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path / 'house.db'}"
    bench = Bench(open_store(url), open_broker(url), open_search(url))
    yield bench
    bench.store.close()
    bench.broker.close()


def test_a_stored_and_searchable_image_is_stored_without_a_second_look(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.store_and_index()
    assert (bench.status(), bench.settled) == (AuditStatus.STORED, 0)


def test_a_dead_image_is_dead_with_its_reason(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.store.outputs.put_failures([failure(key(), reason="corrupt")])
    assert (bench.result().status, bench.result().reason) == (AuditStatus.DEAD, "corrupt")


def test_an_image_with_a_failure_of_an_older_revision_is_lost(bench: Bench) -> None:
    bench.store.catalogue.put([image(revision=1)])
    bench.store.outputs.put_failures([failure(key())])
    assert bench.status() is AuditStatus.LOST


def test_an_image_with_a_replayed_failure_is_lost(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.store.outputs.put_failures([failure(key(), state=FailureState.REPLAYED)])
    assert bench.status() is AuditStatus.LOST


def test_a_deleted_image_is_skipped(bench: Bench) -> None:
    bench.store.catalogue.put([image(event="deleted")])
    bench.search.apply([deletion("photo")])
    assert bench.status() is AuditStatus.SKIPPED


def test_an_image_of_a_retired_version_is_skipped(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    assert bench.status(entry=replace(ENTRY, state=VersionState.RETIRED)) is AuditStatus.SKIPPED


def test_no_image_is_lost_under_a_version_that_gets_no_uploads(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    assert bench.status(entry=replace(ENTRY, state=VersionState.REGISTERED)) is AuditStatus.PENDING


def test_an_image_that_is_in_no_queue_and_not_stored_is_lost(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    assert (bench.status(), bench.settled) == (AuditStatus.LOST, 1)


def test_an_output_of_an_older_revision_does_not_count(bench: Bench) -> None:
    bench.store.catalogue.put([image(revision=1)])
    bench.store_and_index()
    assert bench.status() is AuditStatus.LOST


@pytest.mark.parametrize("lane", list(Lane))
def test_nothing_is_lost_while_its_queue_holds_a_message(bench: Bench, lane: Lane) -> None:
    bench.store.catalogue.put([image()])
    bench.broker.model_queue(TAGGER).submit([b"{}"], lane)
    assert bench.status() is AuditStatus.PENDING


def test_nothing_is_lost_while_a_worker_holds_a_message(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    queue = bench.broker.model_queue(TAGGER)
    queue.submit([b"{}"], Lane.LIVE)
    queue.receive(max_live=1, max_backfill=0, wait_s=0)
    assert bench.status() is AuditStatus.PENDING


def test_nothing_is_lost_while_a_message_waits_on_a_retry_delay(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    queue = bench.broker.model_queue(TAGGER)
    queue.submit([b"{}"], Lane.LIVE)
    (delivery,) = queue.receive(max_live=1, max_backfill=0, wait_s=0)
    queue.retry(delivery, delay_s=3600)
    assert bench.status() is AuditStatus.PENDING


def test_nothing_is_lost_if_its_queue_was_empty_at_the_second_look_only(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    queue = bench.broker.model_queue(TAGGER)
    queue.submit([b"{}"], Lane.LIVE)
    bench.meanwhile = lambda: queue.ack(queue.receive(max_live=1, max_backfill=0, wait_s=0))
    assert bench.status() is AuditStatus.PENDING


def test_nothing_is_lost_while_the_catalogue_is_behind(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.broker.catalogue().submit([b"{}"], Lane.LIVE)
    assert bench.status() is AuditStatus.PENDING


def test_an_image_is_lost_though_another_version_s_queue_has_messages(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.broker.model_queue(QUALITY).submit([b"{}"], Lane.LIVE)
    assert bench.status() is AuditStatus.LOST


def test_an_image_stored_between_the_looks_is_stored(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.meanwhile = bench.store_and_index
    assert bench.status() is AuditStatus.STORED


def test_an_image_with_a_new_revision_between_the_looks_is_pending(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.meanwhile = lambda: bench.store.catalogue.put([image(revision=1)])
    assert bench.status() is AuditStatus.PENDING


def test_an_id_that_nobody_submitted_is_unknown(bench: Bench) -> None:
    assert bench.status("nobody") is AuditStatus.UNKNOWN


def test_an_id_may_be_on_its_way_to_the_catalogue(bench: Bench) -> None:
    bench.broker.catalogue().submit([b"{}"], Lane.LIVE)
    assert bench.status("somebody") is AuditStatus.PENDING


def test_an_image_that_failed_before_its_row_was_written_is_dead(bench: Bench) -> None:
    bench.store.outputs.put_failures([failure(key("early"))])
    assert bench.status("early") is AuditStatus.DEAD


def test_a_stored_image_without_a_document_is_not_in_search(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.store.outputs.put([output(key())])
    assert bench.status() is AuditStatus.NOT_IN_SEARCH


def test_a_document_by_an_older_policy_does_not_count(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.store.outputs.put([output(key())])
    bench.search.apply([result("photo", part(cat=0.9, policy_number=1))])
    assert bench.status() is AuditStatus.NOT_IN_SEARCH


def test_a_document_with_another_version_s_part_does_not_count(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.store.outputs.put([output(key())])
    bench.search.apply([result("photo", part(cat=0.9, policy_number=2), name="quality_1")])
    assert bench.status() is AuditStatus.NOT_IN_SEARCH


def test_a_stored_image_whose_result_may_be_on_its_way_is_stored(bench: Bench) -> None:
    bench.store.catalogue.put([image()])
    bench.store.outputs.put([output(key())])
    bench.broker.results().submit([b"{}"], Lane.BACKFILL)
    assert (bench.result().status, bench.result().open) == (AuditStatus.STORED, True)


def test_results_are_in_the_order_of_the_ids_over_many_chunks(bench: Bench) -> None:
    ids = [f"photo-{number:04}" for number in range(1200)]
    bench.store.catalogue.put([image(image_id) for image_id in ids if image_id != "photo-0777"])
    bench.store.outputs.put_failures([failure(key(image_id)) for image_id in ids[:700]])
    results = bench.audit().results(ids, settle=lambda: None)
    assert [result.image_id for result in results] == ids
    assert [v.image_id for v in results if v.status is AuditStatus.UNKNOWN] == ["photo-0777"]
    assert sum(result.status is AuditStatus.DEAD for result in results) == 700
    assert sum(result.status is AuditStatus.LOST for result in results) == 499


def test_only_images_that_are_lost_or_not_in_search_are_submitted_again(bench: Bench) -> None:
    bench.store.catalogue.put([image("lost", revision=3), image("unindexed"), image("dead")])
    bench.store.outputs.put([output(key("unindexed"))])
    bench.store.outputs.put_failures([failure(key("dead"))])
    audit = bench.audit()
    results = audit.results(["lost", "unindexed", "dead", "nobody"], settle=lambda: None)
    assert audit.submit_again(results, now_ms=1) == 2
    assert bench.broker.model_queue(TAGGER).depth()[Lane.LIVE].total == 0
    deliveries = bench.broker.model_queue(TAGGER).receive(max_live=9, max_backfill=9, wait_s=0)
    lost, unindexed = (decode_image_message(delivery.body) for delivery in deliveries)
    assert (lost.image_id, lost.revision, lost.image_uri) == ("lost", 3, "file:///photos/lost")
    assert unindexed.image_id == "unindexed"
