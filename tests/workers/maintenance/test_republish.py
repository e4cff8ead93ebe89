"""After a change of policy every document is renewed by the new one, from stored vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Applied
from panopticon.registry import transitions
from panopticon.results.documents import Change
from panopticon.settings import Settings
from storage.search.sqlite import SqliteSearchIndex
from storage.stores.sqlite import SqliteStore
from tests.contracts.examples import deletion, image
from tests.workers.policy_bench import ANN, PolicyBench, output_of
from workers.maintenance.republish import PAGE
from workers.queues.sqlite import SqliteBroker


class RefusingIndex(SqliteSearchIndex):
    """A search index that refuses every change of one image."""

    refused = ""

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        return [
            Applied.REFUSED
            if change.image_id == self.refused
            else super(RefusingIndex, self).apply([change])[0]
            for change in changes
        ]


@pytest.fixture
def search(tmp_path: Path) -> Iterator[RefusingIndex]:
    with closing(RefusingIndex(f"sqlite:///{tmp_path}/panopticon.db")) as search:
        yield search


@pytest.fixture
def bench(tmp_path: Path, search: RefusingIndex) -> Iterator[PolicyBench]:
    url = f"sqlite:///{tmp_path}/panopticon.db"
    with closing(SqliteStore(url)) as store, closing(SqliteBroker(url)) as broker:
        yield PolicyBench(
            settings=Settings(database=url, settle_s=1.0), store=store, broker=broker, search=search
        )


def test_every_document_is_by_the_new_policy(bench: PolicyBench) -> None:
    ids = [f"photo-{number}" for number in range(3)]
    bench.plant(ids)
    bench.put_policy()
    done = bench.republish()
    assert (done.policy_number, done.images, done.left) == (2, 3, ())
    assert {bench.part(image_id).policy_number for image_id in ids} == {2}
    assert [tag.label for tag in bench.part("photo-0").tags] == ["tabby"]


def test_a_document_has_the_tags_of_the_new_policy(bench: PolicyBench) -> None:
    bench.plant(["a"])
    bench.put_policy('[rollup]\nfeline = "sum"\n')
    bench.republish()
    assert [(tag.label, tag.probability) for tag in bench.part("a").tags] == [
        ("feline", 1.0),
        ("tabby", 0.75),
        ("tiger cat", 0.25),
    ]


def test_nothing_is_published_before_every_worker_and_indexer_knows_the_policy(bench: PolicyBench) -> None:
    bench.plant(["a"])
    bench.put_policy()
    begun_s = bench.clock.now_s
    renewed_at_s: list[float] = []

    def look() -> None:
        if bench.part("a").policy_number == 2:
            renewed_at_s.append(bench.clock.now_s)

    bench.watch = look
    bench.republish()
    assert renewed_at_s[0] - begun_s > bench.settings.registry_max_age_s


def test_the_queue_of_results_stays_short(bench: PolicyBench) -> None:
    ids = [f"photo-{number}" for number in range(2 * PAGE + 1)]
    bench.plant(ids)
    bench.put_policy()
    assert bench.republish().images == len(ids)
    assert bench.longest_queue <= PAGE


def test_republishing_again_finds_nothing_to_do(bench: PolicyBench) -> None:
    bench.plant(["a"])
    bench.put_policy()
    bench.republish()
    assert bench.republish().images == 0


def test_a_second_run_continues_the_first(bench: PolicyBench) -> None:
    ids = [f"photo-{number}" for number in range(5)]
    bench.plant(ids)
    bench.put_policy()
    bench.republish(ids[:2])
    assert bench.republish().images == 3


def test_only_the_images_that_are_named_are_renewed(bench: PolicyBench) -> None:
    bench.plant(["a", "b"])
    bench.put_policy()
    done = bench.republish(["a", "nobody"])
    assert (done.images, done.unknown) == (1, ("nobody",))
    assert (bench.part("a").policy_number, bench.part("b").policy_number) == (2, 1)


def test_a_late_result_of_the_old_policy_changes_nothing(bench: PolicyBench) -> None:
    bench.plant(["a", "b"])
    old = bench.policy()
    bench.put_policy()
    bench.publish(["a"], old)
    bench.republish()
    bench.store.outputs.put([output_of("new")])
    bench.publish(["a", "new"], old)
    bench.sleep(0)
    assert {bench.part(image_id).policy_number for image_id in ("a", "b", "new")} == {2}


def test_the_revision_of_the_document_is_renewed(bench: PolicyBench) -> None:
    bench.plant(["a"], revision=2)
    bench.store.outputs.put([output_of("a", revision=1), output_of("a", revision=3)])
    bench.put_policy()
    bench.republish()
    assert (bench.part("a").revision, bench.part("a").policy_number) == (2, 2)


def test_the_time_of_an_upload_stays(bench: PolicyBench) -> None:
    bench.plant(["a"])
    before = bench.search.get(["a"])["a"]
    bench.put_policy()
    bench.republish()
    assert bench.search.get(["a"])["a"].occurred_at_ms == before.occurred_at_ms


def test_a_document_without_a_stored_output_is_named_and_the_others_are_renewed(bench: PolicyBench) -> None:
    bench.plant(["a", "erased", "z"])
    bench.store.outputs.erase(["erased"])
    bench.put_policy()
    done = bench.republish()
    assert (done.images, done.left) == (2, ("erased",))


def test_an_image_that_is_being_erased_is_not_reported_as_left(bench: PolicyBench) -> None:
    bench.plant(["a", "erased"])
    bench.store.outputs.erase(["erased"])
    bench.store.catalogue.put([image("erased", revision=1, event="deleted")])
    bench.put_policy()
    done = bench.republish()
    assert (done.images, done.left) == (1, ())


def test_a_deleted_image_stays_deleted(bench: PolicyBench) -> None:
    bench.plant(["a", "gone"])
    bench.search.apply([deletion("gone", revision=1)])
    bench.put_policy()
    assert bench.republish().images == 1
    assert bench.search.get(["gone"])["gone"].deleted


def test_an_image_that_search_refuses_is_named_and_the_others_are_renewed(
    bench: PolicyBench, search: RefusingIndex
) -> None:
    bench.plant(["a", "odd", "z"])
    bench.put_policy()
    search.refused = "odd"
    done = bench.republish()
    assert (done.images, done.left) == (2, ("odd",))


def test_without_an_indexer_it_reports_waiting_results_and_continues_once_there_is_one(
    bench: PolicyBench,
) -> None:
    bench.plant(["a", "b"])
    bench.put_policy()
    bench.indexing = False
    assert bench.republish().images == 2
    assert bench.reported == ["2 waiting", "2 done"]


def test_a_policy_that_is_applied_during_the_wait_is_the_one_that_counts(bench: PolicyBench) -> None:
    bench.plant(["a"])
    bench.put_policy()
    bench.watch = lambda: bench.put_policy("") if bench.number() == 2 else None
    done = bench.republish()
    assert (done.policy_number, bench.part("a").policy_number) == (3, 3)


def test_an_outage_of_the_broker_is_raised_and_the_next_run_continues(bench: PolicyBench) -> None:
    bench.plant(["a"])
    bench.put_policy()
    bench.journal.down = {"results.submit"}
    with pytest.raises(Unavailable):
        bench.republish()
    bench.journal.down = set()
    assert bench.republish().images == 1


def test_a_retired_version_is_refused(bench: PolicyBench) -> None:
    bench.plant(["a"])
    entry = bench.store.registry.read("tagger")
    assert entry is not None
    shadow = transitions.deactivate(entry, ANN)
    assert bench.store.registry.swap(entry, transitions.retire(shadow, 1, ANN))
    with pytest.raises(UsageError, match="tagger@1 is retired"):
        bench.republish()
