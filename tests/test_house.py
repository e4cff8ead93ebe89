"""The house of the tests: what a test plants is there, and a journal makes parts fail or something happen."""

from __future__ import annotations

import pytest

from panopticon.errors import Unavailable
from panopticon.interfaces import Applied
from panopticon.messages import ImageMessage, Lane
from panopticon.registry.records import VersionState
from tests.contracts.examples import QUALITY, TAGGER, deletion
from tests.house import House, house_of


def test_planted_images_have_rows_outputs_failures_and_documents(house: House) -> None:
    house.register()
    house.plant("a", "b", revision=2, outputs={TAGGER: {"tabby": 0.75}}, failures=[QUALITY])
    assert {row.revision for row in house.real.store.catalogue.get(["a", "b"]).values()} == {2}
    (output,) = house.real.store.outputs.versions_of("b")
    assert output.digest == house.version(TAGGER).digest
    assert [failure.key.model for failure in house.real.store.outputs.failures_of(["b"])] == ["quality"]
    part = house.document("b").parts[TAGGER.part]
    assert (part.revision, part.policy_number, [tag.label for tag in part.tags]) == (2, 1, ["tabby"])


def test_documents_are_planted_by_the_present_policy(house: House) -> None:
    house.register(TAGGER)
    house.put_policy(TAGGER, "threshold = 0.5\n")
    house.plant("a", outputs={TAGGER: {"tabby": 0.75, "tiger cat": 0.25}})
    part = house.document("a").parts[TAGGER.part]
    assert (part.policy_number, [tag.label for tag in part.tags]) == (2, ["tabby"])


def test_an_active_version_can_be_retired(house: House) -> None:
    house.register()
    house.retire(TAGGER)
    states = house.version(TAGGER).state, house.version(QUALITY).state
    assert states == (VersionState.RETIRED, VersionState.ACTIVE)


def test_without_a_document_search_has_nothing(house: House) -> None:
    house.register(TAGGER)
    house.plant("a", outputs={TAGGER: {"tabby": 0.75}}, document=False)
    assert house.real.search.count() == 0


def test_the_indexer_works_until_nothing_waits(house: House) -> None:
    house.submit(*(ImageMessage(image_id=str(n)) for n in range(3)))
    house.index()
    assert len(house.real.store.catalogue.get(["0", "1", "2"])) == 3


def test_taken_messages_are_gone(house: House) -> None:
    house.register(TAGGER)
    house.submit(ImageMessage(image_id="a"), lane=Lane.BACKFILL)
    queue = house.broker.model_queue(TAGGER)
    assert [len(house.take(queue)), len(house.take(queue))] == [1, 0]


def test_messages_that_wait_for_a_version_are_taken_with_it_alone(house: House) -> None:
    house.register()
    house.real.broker.model_queue(TAGGER).submit([b"a"], Lane.LIVE)
    assert house.waiting(QUALITY) == []
    assert [house.waiting(TAGGER), house.waiting(TAGGER)] == [[b"a"], []]


def test_a_part_that_is_down_fails_for_the_object_under_test_and_not_for_the_test(house: House) -> None:
    house.register(TAGGER)
    house.journal.down = {"outputs", "registry.swap"}
    with pytest.raises(Unavailable, match="outputs"):
        house.store.outputs.get(["a"], TAGGER)
    entry = house.store.registry.read("tagger")
    assert entry is not None
    with pytest.raises(Unavailable, match="registry"):
        house.store.registry.swap(entry, entry)
    house.plant("a", outputs={TAGGER: {"tabby": 0.75}})
    assert house.journal.steps == ["registry.read"]


def test_search_refuses_the_changes_of_images_that_the_journal_names(house: House) -> None:
    house.journal.refused = {"b"}
    changes = [deletion("a"), deletion("b"), deletion("a")]
    assert house.search.apply(changes) == [Applied.APPLIED, Applied.REFUSED, Applied.STALE]
    assert set(house.real.search.get(["a", "b"])) == {"a"}


def test_something_happens_once_just_before_a_step(house: House) -> None:
    house.register(TAGGER)
    house.journal.before["registry.swap"] = lambda: house.put_policy(TAGGER, "threshold = 0.5\n")
    entry = house.model("tagger")
    assert not house.store.registry.swap(entry, entry)
    assert house.version(TAGGER).policy_number == 2
    assert house.journal.before == {}


def test_something_happens_while_somebody_sleeps(house: House) -> None:
    house.clock.on_sleep = house.register
    began_s = house.clock.monotonic()
    house.clock.sleep(5.0)
    assert house.clock.monotonic() == began_s + 5.0
    assert house.version(QUALITY).state is VersionState.ACTIVE


def test_an_indexer_works_while_somebody_sleeps_and_does_not_start_again_as_it_waits_itself(
    house: House,
) -> None:
    house.submit(ImageMessage(image_id="a"))
    house.clock.on_sleep = house.index
    house.clock.sleep(5.0)
    assert house.row("a").image_id == "a"


def test_a_house_of_settings_shares_its_parts_with_others(house: House) -> None:
    house.register(TAGGER)
    with house_of(house.settings) as other:
        other.plant("a", outputs={TAGGER: {"tabby": 0.75}})
    assert house.document("a").parts


def test_a_version_takes_any_state_and_an_active_one_that_loses_it_leaves_none_active(house: House) -> None:
    house.register(TAGGER)
    for state in (VersionState.RETIRED, VersionState.ACTIVE, VersionState.REGISTERED, VersionState.SHADOW):
        house.set_state(TAGGER, state)
        active = TAGGER if state is VersionState.ACTIVE else None
        assert (house.version(TAGGER).state, house.model("tagger").active) == (state, active)
