"""After a change of policy every document is renewed by the new one, from stored vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from panopticon.errors import Unavailable, UsageError
from panopticon.messages import Lane
from panopticon.results.documents import Part
from tests.contracts.examples import TAGGER, deletion, image
from tests.house import House, open_house
from workers.maintenance.republish import PAGE, Progress, Republished, Republisher
from workers.registry.policy_cache import result_message

QUIETER = "threshold = 0.5\n"
"""A policy that drops the tiger cat, which every output here has."""
SCORES = {"tabby": 0.75, "tiger cat": 0.25}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with `tagger@1`, in which the indexer works whenever somebody sleeps."""
    with open_house(tmp_path, settle_s=1.0) as house:
        house.register(TAGGER)
        house.clock.on_sleep = house.index
        yield house


def plant(house: House, *image_ids: str, revision: int = 0) -> None:
    house.plant(*image_ids, revision=revision, outputs={TAGGER: SCORES})


def republish(
    house: House, image_ids: Sequence[str] | None = None, *, progress: Progress | None = None
) -> Republished:
    republisher = Republisher(
        TAGGER,
        settings=house.settings,
        store=house.store,
        search=house.search,
        results=house.broker.results(),
        clock=house.clock,
    )
    return republisher.republish(image_ids, progress=progress)


def part(house: House, image_id: str) -> Part:
    return house.document(image_id).parts[TAGGER.part]


def test_every_document_is_by_the_new_policy(house: House) -> None:
    ids = [f"photo-{number}" for number in range(3)]
    plant(house, *ids)
    house.put_policy(TAGGER, QUIETER)
    done = republish(house)
    assert (done.policy_number, done.images, done.left) == (2, 3, ())
    assert {part(house, image_id).policy_number for image_id in ids} == {2}
    assert [tag.label for tag in part(house, "photo-0").tags] == ["tabby"]


def test_a_document_has_the_tags_of_the_new_policy(house: House) -> None:
    plant(house, "a")
    house.put_policy(TAGGER, '[rollup]\nfeline = "sum"\n')
    republish(house)
    assert [(tag.label, tag.probability) for tag in part(house, "a").tags] == [
        ("feline", 1.0),
        ("tabby", 0.75),
        ("tiger cat", 0.25),
    ]


def test_nothing_is_published_before_every_worker_and_indexer_knows_the_policy(house: House) -> None:
    plant(house, "a")
    house.put_policy(TAGGER, QUIETER)
    begun_s = house.clock.now_s
    renewed_at_s: list[float] = []

    def look() -> None:
        house.index()
        if part(house, "a").policy_number == 2:
            renewed_at_s.append(house.clock.now_s)

    house.clock.on_sleep = look
    republish(house)
    assert renewed_at_s[0] - begun_s > house.settings.registry_max_age_s


def test_the_queue_of_results_stays_short(house: House) -> None:
    ids = [f"photo-{number}" for number in range(2 * PAGE + 1)]
    plant(house, *ids)
    house.put_policy(TAGGER, QUIETER)
    waiting: list[int] = []

    def look() -> None:
        waiting.append(house.broker.results().depth()[Lane.BACKFILL].total)
        house.index()

    house.clock.on_sleep = look
    assert republish(house).images == len(ids)
    assert 0 < max(waiting) <= PAGE


def test_republishing_again_finds_nothing_to_do(house: House) -> None:
    plant(house, "a")
    house.put_policy(TAGGER, QUIETER)
    republish(house)
    assert republish(house).images == 0


def test_a_second_run_continues_the_first(house: House) -> None:
    ids = [f"photo-{number}" for number in range(5)]
    plant(house, *ids)
    house.put_policy(TAGGER, QUIETER)
    republish(house, ids[:2])
    assert republish(house).images == 3


def test_only_the_images_that_are_named_are_renewed(house: House) -> None:
    plant(house, "a", "b")
    house.put_policy(TAGGER, QUIETER)
    done = republish(house, ["a", "nobody"])
    assert (done.images, done.unknown) == (1, ("nobody",))
    assert (part(house, "a").policy_number, part(house, "b").policy_number) == (2, 1)


def test_a_late_result_of_the_old_policy_changes_nothing(house: House) -> None:
    plant(house, "a", "b")
    old = house.policy(TAGGER)
    late, new = (house.output(image_id, TAGGER, SCORES) for image_id in ("a", "new"))
    house.put_policy(TAGGER, QUIETER)
    house.publish(result_message(late, old, occurred_at=None))
    republish(house)
    house.store.outputs.put([new])
    house.publish(*(result_message(output, old, occurred_at=None) for output in (late, new)))
    house.index()
    assert {part(house, image_id).policy_number for image_id in ("a", "b", "new")} == {2}


def test_the_revision_of_the_document_is_renewed(house: House) -> None:
    plant(house, "a", revision=2)
    house.store.outputs.put([house.output("a", TAGGER, SCORES, revision=number) for number in (1, 3)])
    house.put_policy(TAGGER, QUIETER)
    republish(house)
    assert (part(house, "a").revision, part(house, "a").policy_number) == (2, 2)


def test_the_time_of_an_upload_stays(house: House) -> None:
    plant(house, "a")
    before = house.document("a")
    house.put_policy(TAGGER, QUIETER)
    republish(house)
    assert house.document("a").occurred_at_ms == before.occurred_at_ms


def test_a_document_without_a_stored_output_is_named_and_the_others_are_renewed(house: House) -> None:
    plant(house, "a", "erased", "z")
    house.store.outputs.erase(["erased"])
    house.put_policy(TAGGER, QUIETER)
    done = republish(house)
    assert (done.images, done.left) == (2, ("erased",))


def test_an_image_that_is_being_erased_is_not_reported_as_left(house: House) -> None:
    plant(house, "a", "erased")
    house.store.outputs.erase(["erased"])
    house.store.catalogue.put([image("erased", revision=1, event="deleted")])
    house.put_policy(TAGGER, QUIETER)
    done = republish(house)
    assert (done.images, done.left) == (1, ())


def test_a_deleted_image_stays_deleted(house: House) -> None:
    plant(house, "a", "gone")
    house.search.apply([deletion("gone", revision=1)])
    house.put_policy(TAGGER, QUIETER)
    assert republish(house).images == 1
    assert house.document("gone").deleted


def test_an_image_that_search_refuses_is_named_and_the_others_are_renewed(house: House) -> None:
    plant(house, "a", "odd", "z")
    house.put_policy(TAGGER, QUIETER)
    house.journal.refused = {"odd"}
    done = republish(house)
    assert (done.images, done.left) == (2, ("odd",))


def test_without_an_indexer_it_reports_waiting_results_and_continues_once_there_is_one(
    house: House,
) -> None:
    plant(house, "a", "b")
    house.put_policy(TAGGER, QUIETER)
    reported: list[str] = []

    def start_the_indexer(waiting: int) -> None:
        reported.append(f"{waiting} waiting")
        house.clock.on_sleep = house.index

    house.clock.on_sleep = lambda: None
    progress = Progress(done=lambda count: reported.append(f"{count} done"), stalled=start_the_indexer)
    assert republish(house, progress=progress).images == 2
    assert reported == ["2 waiting", "2 done"]


def test_a_policy_that_is_applied_during_the_wait_is_the_one_that_counts(house: House) -> None:
    plant(house, "a")
    house.put_policy(TAGGER, QUIETER)

    def change_again() -> None:
        house.index()
        if house.version(TAGGER).policy_number == 2:
            house.put_policy(TAGGER, "")

    house.clock.on_sleep = change_again
    done = republish(house)
    assert (done.policy_number, part(house, "a").policy_number) == (3, 3)


def test_an_outage_of_the_broker_is_raised_and_the_next_run_continues(house: House) -> None:
    plant(house, "a")
    house.put_policy(TAGGER, QUIETER)
    house.journal.down = {"results.submit"}
    with pytest.raises(Unavailable):
        republish(house)
    house.journal.down = set()
    assert republish(house).images == 1


def test_a_retired_version_is_refused(house: House) -> None:
    plant(house, "a")
    house.retire(TAGGER)
    with pytest.raises(UsageError, match="tagger@1 is retired"):
        republish(house)
