"""Other consumers of results get from the indexer what no worker publishes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from panopticon.messages import (
    DeletedPublished,
    ImageMessage,
    Lane,
    ModelActivated,
    ModelDeactivated,
    ResultPublished,
    decode_result_message,
    encode,
)
from panopticon.registry import transitions
from panopticon.results.outputs import VersionName
from tests.house import AUTHOR, House
from tests.panopticon.null_card import write_null_card
from tests.results_tap import ResultsTap
from workers.indexer.announcements import EVERY_S
from workers.maintenance.erase import Eraser
from workers.registry.change_state import Versions

COLOUR = VersionName(model="colour", version=1)
RENAMED = 'renamed = { red = "rot" }\n'
AT = datetime(2026, 11, 22, 17, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A house, and a copy of what reaches its results."""

    house: House
    tap: ResultsTap

    def published(self) -> list[object]:
        """Let the indexer work; return what it published."""
        self.tap.take()
        self.house.index()
        return [decode_result_message(body) for body in self.tap.take()]


@pytest.fixture
def scene(house: House) -> Scene:
    """A house in which nothing was announced yet."""
    assert house.broker.topology.bound() == ()
    tap = ResultsTap(house.url)
    tap.install()
    return Scene(house=house, tap=tap)


def delete(revision: int, *, at: datetime | None = None) -> ImageMessage:
    return ImageMessage(image_id="a", revision=revision, event="deleted", occurred_at=at)


def result(image_id: str) -> ResultPublished:
    return ResultPublished(image_id=image_id, revision=0, model="colour", version=1, policy_number=1)


def register_colour(house: House, folder: Path) -> None:
    house.register(write_null_card(folder / "card"))


def deactivate(house: House) -> None:
    """Change the registry and announce nothing, as a command that is killed in between does."""
    house.change(COLOUR, lambda entry: transitions.deactivate(entry, AUTHOR))


class TestDeletes:
    def test_a_delete_is_published_with_its_revision_and_time(self, scene: Scene) -> None:
        scene.house.submit(delete(4, at=AT))
        assert scene.published() == [DeletedPublished(image_id="a", revision=4, occurred_at=AT)]

    def test_an_upload_publishes_nothing(self, scene: Scene) -> None:
        scene.house.submit(ImageMessage(image_id="a", revision=4))
        assert scene.published() == []

    def test_a_delete_that_arrives_late_keeps_its_own_revision(self, scene: Scene) -> None:
        """A consumer with a document of a higher revision then drops it."""
        scene.house.submit(ImageMessage(image_id="a", revision=5))
        scene.house.submit(delete(4))
        assert scene.published() == [DeletedPublished(image_id="a", revision=4)]

    def test_an_erasure_is_published_with_the_revision_of_its_tombstone(self, scene: Scene) -> None:
        house = scene.house
        house.plant("a", revision=6)
        eraser = Eraser(store=house.store, search=house.search, broker=house.broker, originals="")
        assert eraser.erase(["a"], now_ms=1_000).revisions == {"a": 7}
        at = datetime.fromtimestamp(1, UTC)
        assert scene.published() == [DeletedPublished(image_id="a", revision=7, occurred_at=at)]

    def test_a_delete_that_could_not_be_published_is_published_once_it_can_be(self, scene: Scene) -> None:
        scene.house.submit(delete(4))
        scene.house.journal.down = {"broker.publish_downstream"}
        assert scene.published() == []
        scene.house.journal.down = set()
        scene.house.clock.now_s += 9
        assert scene.published() == [DeletedPublished(image_id="a", revision=4)]

    def test_results_are_applied_while_a_delete_cannot_be_published(self, scene: Scene) -> None:
        """A broker in an alarm takes no message, and results that wait are what it has to get rid of."""
        house = scene.house
        house.submit(delete(4), ImageMessage(image_id="b"))
        house.journal.down = {"broker.publish_downstream"}
        for number in range(3):
            house.publish(result(f"c{number}"))
            house.index()
        assert set(house.real.search.get(["c0", "c1", "c2"])) == {"c0", "c1", "c2"}
        assert "broker unavailable" in str(house.indexer.parked)
        assert house.journal.steps.count("uploads.requeue") == 0
        house.journal.down = set()
        house.clock.now_s += 9
        house.index()
        assert str(house.indexer.parked) == "None"
        assert house.real.broker.catalogue().depth()[Lane.LIVE].total == 0

    def test_a_delete_that_search_refuses_is_published_and_kept_as_it_came(self, scene: Scene) -> None:
        journal = scene.house.journal
        journal.refused = {"a"}
        journal.before["broker.publish_downstream"] = journal.refused.clear
        scene.house.submit(delete(4))
        assert scene.published() == [DeletedPublished(image_id="a", revision=4)]
        (failure,) = scene.house.real.store.outputs.failures_of(["a"])
        assert failure.message == encode(delete(4))

    def test_the_indexer_takes_its_own_message_and_publishes_nothing_more(self, scene: Scene) -> None:
        scene.house.submit(delete(4))
        scene.house.index()
        assert scene.house.journal.steps.count("broker.publish_downstream") == 1
        assert scene.published() == []
        assert scene.house.document("a").deleted


class TestPolicies:
    @pytest.fixture(autouse=True)
    def _stored(self, scene: Scene, tmp_path: Path) -> None:
        register_colour(scene.house, tmp_path)
        scene.house.plant("a", outputs={COLOUR: {"red": 0.5}}, document=False)
        scene.published()

    def test_a_late_result_is_published_as_the_present_policy_makes_it(self, scene: Scene) -> None:
        scene.house.put_policy(COLOUR, RENAMED)
        scene.house.clock.now_s += 9
        scene.house.publish(result("a"))
        (renewed,) = scene.published()
        assert isinstance(renewed, ResultPublished)
        assert (renewed.policy_number, renewed.scores) == (2, {"rot": 0.5, "green": 0, "blue": 0})

    def test_a_result_by_the_present_policy_is_not_published_again(self, scene: Scene) -> None:
        scene.house.publish(result("a"))
        assert scene.published() == []


class TestActiveVersions:
    @pytest.fixture(autouse=True)
    def _registered(self, scene: Scene, tmp_path: Path) -> None:
        register_colour(scene.house, tmp_path)

    def test_an_indexer_announces_every_active_version_at_its_start(self, scene: Scene) -> None:
        (notice,) = scene.published()
        assert isinstance(notice, ModelActivated)
        assert (notice.model, notice.version, notice.serial) == ("colour", 1, 1)

    def test_a_switch_that_was_not_announced_is_announced_by_the_indexer(self, scene: Scene) -> None:
        scene.published()
        deactivate(scene.house)
        scene.house.clock.now_s += EVERY_S
        (notice,) = scene.published()
        assert isinstance(notice, ModelDeactivated)
        assert (notice.former_version, notice.serial) == (1, 2)

    def test_a_second_switch_that_was_not_announced_is_announced_if_it_equals_one_before(
        self, scene: Scene
    ) -> None:
        """A consumer that was informed of the first one alone would have the wrong version."""
        deactivate(scene.house)
        scene.published()
        scene.house.change(COLOUR, lambda entry: transitions.roll_back(entry, AUTHOR))
        deactivate(scene.house)
        scene.house.clock.now_s += EVERY_S
        assert [type(notice) for notice in scene.published()] == [ModelDeactivated]

    def test_a_change_that_is_not_a_switch_is_not_announced(self, scene: Scene) -> None:
        scene.published()
        scene.house.put_policy(COLOUR, RENAMED)
        scene.house.clock.now_s += EVERY_S
        assert scene.published() == []

    def test_an_announcement_that_failed_is_repeated_and_holds_nothing_up(self, scene: Scene) -> None:
        scene.house.journal.down = {"broker.publish_downstream"}
        assert scene.published() == []
        assert scene.house.indexer.parked is None
        scene.house.journal.down = set()
        scene.house.clock.now_s += EVERY_S
        assert len(scene.published()) == 1


def test_a_model_of_which_no_version_was_ever_active_is_not_announced(scene: Scene, tmp_path: Path) -> None:
    house = scene.house
    Versions(store=house.store, broker=house.broker, by="ann").add(write_null_card(tmp_path / "card"))
    assert scene.published() == []
