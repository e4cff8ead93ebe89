"""An index that is built from the results exchange alone equals ours: the merge, and a living catalogue.

The same on real servers, with processes that are killed, is in tests/fleet/test_living_catalogue.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.cards.cards import ModelCard, read_card
from panopticon.errors import UsageError
from panopticon.messages import (
    EPOCH,
    DeletedPublished,
    FailedPublished,
    ImageMessage,
    ImageResult,
    Lane,
    ModelActivated,
    ModelDeactivated,
    ModelNotice,
    ResultPublished,
    Tag,
    decode_image_message,
    encode,
)
from panopticon.registry import transitions
from panopticon.registry.records import ModelEntry
from panopticon.results.documents import SearchDocument, change_of, merge
from panopticon.results.outputs import VersionName
from tests.following import active_in, plain_following, plain_index
from tests.house import AUTHOR, House
from tests.panopticon.null_card import NULL_CARD
from tests.reference_consumer import ReferenceConsumer
from tests.results_tap import ResultsTap
from workers.indexer.announcements import EVERY_S
from workers.maintenance.erase import Eraser
from workers.maintenance.republish import Republisher
from workers.registry.change_state import Versions
from workers.registry.policy_cache import ResolvedPolicy, result_message

IDS = ("a", "b")
VERSIONS = tuple(VersionName(model="colour", version=number) for number in (1, 2))
POLICIES = ("", 'renamed = { red = "rot" }\n', 'renamed = { blue = "blau" }\n')
STEPS = 250


def moment(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


ids, revisions, moments = (
    st.sampled_from(IDS),
    st.integers(0, 3),
    st.none() | st.integers(-3, 3).map(moment),
)
numbers = st.integers(1, 3)


@st.composite
def results(draw: st.DrawFn) -> ResultPublished:
    """Equal (image, revision, version, policy number) give equal parts, as they come from one vector."""
    image_id, revision, version, policy_number = draw(ids), draw(revisions), draw(numbers), draw(numbers)
    label = f"{image_id} at {revision} by {version} under {policy_number}"
    tags = (Tag(label=label, probability=0.5, ancestors=("animal",)),) if version < 3 else ()
    return ResultPublished(
        image_id=image_id,
        revision=revision,
        occurred_at=draw(moments),
        model="colour",
        version=version,
        policy_number=policy_number,
        tags=tags,
        scores={"sharpness": policy_number / 4},
    )


about_image = {"image_id": ids, "revision": revisions, "occurred_at": moments}
failures = st.builds(
    FailedPublished, **about_image, model=st.just("colour"), version=numbers, reason=st.just("corrupt")
)
messages = results() | failures | st.builds(DeletedPublished, **about_image)
notices: st.SearchStrategy[ModelNotice] = st.builds(
    lambda serial: (
        ModelActivated(
            model="colour", serial=serial, version=serial, activated_at=moment(0), activated_by="ann"
        )
        if serial % 2
        else ModelDeactivated(model="colour", serial=serial, deactivated_at=moment(0), deactivated_by="ann")
    ),
    st.integers(1, 9),
)


@given(st.lists(messages, max_size=15), st.data())
def test_bodies_in_any_order_with_any_repetition_give_the_documents_of_our_own_merge(
    history: list[ImageResult], data: st.DataObject
) -> None:
    repeats = data.draw(st.lists(st.sampled_from(history), max_size=6)) if history else []
    consumer = ReferenceConsumer()
    for message in data.draw(st.permutations([*history, *repeats])):
        consumer.apply(encode(message))
    ours = {
        image_id: reduce(
            merge,
            [change_of(message) for message in history if message.image_id == image_id],
            SearchDocument(image_id=image_id),
        )
        for image_id in {message.image_id for message in history}
    }
    assert plain_following(consumer) == plain_index(ours.values())


@given(st.lists(notices, min_size=1), st.data())
def test_notices_in_any_order_with_any_repetition_give_the_switch_with_the_highest_serial(
    history: list[ModelNotice], data: st.DataObject
) -> None:
    consumer = ReferenceConsumer()
    for notice in data.draw(st.permutations([*history, *history[:3]])):
        consumer.apply(encode(notice))
    last = max(history, key=lambda notice: notice.serial or 0)
    expected = {f"colour@{last.version}"} if isinstance(last, ModelActivated) else set()
    assert consumer.active_versions() == expected


def test_a_notice_of_release_0_1_counts_until_one_with_a_serial_comes() -> None:
    def notice(version: int, second: int) -> ModelActivated:
        return ModelActivated(
            model="colour", version=version, activated_at=moment(second), activated_by="ann"
        )

    consumer = ReferenceConsumer()
    for message in (notice(2, 2), notice(1, 1)):
        consumer.apply(encode(message))
    assert consumer.active_versions() == {"colour@2"}
    consumer.apply(encode(notice(3, 0).model_copy(update={"serial": 1})))
    assert consumer.active_versions() == {"colour@3"}


def test_a_kind_that_is_not_known_is_skipped_and_a_schema_that_is_not_known_is_refused() -> None:
    consumer = ReferenceConsumer()
    consumer.apply(json.dumps({"schema": 1, "kind": "corrected", "image_id": "a"}).encode())
    assert consumer.documents == {}
    with pytest.raises(ValueError, match="schema 2 is not known"):
        consumer.apply(json.dumps({"schema": 2, "kind": "deleted", "image_id": "a"}).encode())


def test_an_image_is_found_until_it_is_deleted_and_again_after_an_upload_of_a_higher_revision() -> None:
    def tagged(revision: int) -> ResultPublished:
        tag = Tag(label="tabby", probability=0.5, ancestors=("cat",))
        return ResultPublished(
            image_id="a", revision=revision, model="tagger", version=1, policy_number=1, tags=(tag,)
        )

    consumer = ReferenceConsumer()
    by = {"activated_at": moment(0), "activated_by": "ann"}
    consumer.apply(
        encode(ModelActivated.model_validate({"model": "tagger", "version": 1, "serial": 1, **by}))
    )
    found = []
    for message in (
        tagged(3),
        DeletedPublished(image_id="a", revision=2),
        DeletedPublished(image_id="a", revision=4),
        tagged(3),
        tagged(5),
        DeletedPublished(image_id="a", revision=4),
    ):
        consumer.apply(encode(message))
        found.append(consumer.find("cat"))
    assert found == [{"a"}, {"a"}, set(), set(), {"a"}, {"a"}]


@pytest.fixture
def cards(tmp_path: Path) -> list[ModelCard]:
    """The cards of two versions of one model."""
    for version in VERSIONS:
        folder = tmp_path / f"card-{version.version}"
        folder.mkdir()
        text = NULL_CARD.replace("version = 1", f"version = {version.version}")
        (folder / "card.toml").write_text(text)
    return [read_card(tmp_path / f"card-{version.version}" / "card.toml") for version in VERSIONS]


@dataclass(kw_only=True)
class Life:
    """A catalogue in which anything happens, at random."""

    house: House
    cards: Sequence[ModelCard]
    chance: random.Random
    revisions: dict[str, int] = field(default_factory=dict)
    policies: dict[VersionName, ResolvedPolicy] = field(default_factory=dict)
    """The policies that workers know, which may be older than the present ones."""

    def step(self) -> None:
        often = [self.upload, self.delete, self.work, self.index]
        seldom = [self.fault, self.erase, self.put_policy, self.learn, self.switch, self.switch_silently]
        self.chance.choice([*often, *often, *seldom])()

    def upload(self) -> None:
        image_id = f"image-{self.chance.randrange(25)}"
        revision = self.revisions.get(image_id, -1) + self.chance.choice([1, 1, 1, 2])
        self.revisions[image_id] = revision
        self.submit(image_id, revision, "uploaded")

    def delete(self) -> None:
        """Delete an image, at times by a message that is older than the image is now."""
        if self.revisions:
            image_id = self.chance.choice(sorted(self.revisions))
            revision = max(self.revisions[image_id] + self.chance.choice([-1, 0, 1]), 0)
            self.revisions[image_id] = max(self.revisions[image_id], revision)
            self.submit(image_id, revision, "deleted")

    def submit(self, image_id: str, revision: int, event: str) -> None:
        at = moment(revision) if self.chance.random() < 0.7 else None
        message = ImageMessage.model_validate(
            {"image_id": image_id, "revision": revision, "event": event, "occurred_at": at}
        )
        self.house.submit(*[message] * self.chance.choice([1, 1, 2]), lane=self.chance.choice(list(Lane)))

    def work(self) -> None:
        """Let the worker of one version take what waits, in any order."""
        version = self.chance.choice(VERSIONS)
        waiting = self.house.waiting(version)
        self.chance.shuffle(waiting)
        for body in waiting:
            self.house.publish(self.outcome(decode_image_message(body), version))

    def outcome(self, image: ImageMessage, version: VersionName) -> ImageResult:
        if self.chance.random() < 0.1:
            return FailedPublished(
                image_id=image.image_id,
                revision=image.revision,
                occurred_at=image.occurred_at,
                model=version.model,
                version=version.version,
                reason="truncated",
            )
        scores = {"red": image.revision / 64, "green": version.version / 4}
        output = self.house.output(image.image_id, version, scores, revision=image.revision)
        self.house.real.store.outputs.put([output])
        return result_message(output, self.policies[version], occurred_at=image.occurred_at)

    def learn(self) -> None:
        """Let workers learn the present policies."""
        self.policies = {version: self.house.policy(version) for version in VERSIONS}

    def put_policy(self) -> None:
        self.house.put_policy(self.chance.choice(VERSIONS), self.chance.choice(POLICIES))

    def switch(self) -> None:
        versions = Versions(store=self.house.store, broker=self.house.broker, by="ann")
        card = self.chance.choice(self.cards)
        with suppress(UsageError):
            match self.chance.randrange(3):
                case 0:
                    versions.activate(card)
                case 1:
                    versions.roll_back("colour")
                case _:
                    versions.deactivate("colour")

    def switch_silently(self) -> None:
        """Switch as a command does that is killed before it announces that."""

        def changed(entry: ModelEntry) -> ModelEntry:
            if entry.active is None:
                return transitions.roll_back(entry, AUTHOR)
            return transitions.deactivate(entry, AUTHOR)

        self.house.change(VERSIONS[0], changed)

    def erase(self) -> None:
        if self.revisions:
            image_id = self.chance.choice(sorted(self.revisions))
            house = self.house
            eraser = Eraser(store=house.store, search=house.search, broker=house.broker, originals="")
            erased = eraser.erase([image_id], now_ms=house.now_ms())
            self.revisions[image_id] = max(self.revisions[image_id], erased.revisions.get(image_id, 0))

    def index(self) -> None:
        self.house.clock.now_s += self.chance.choice([0, 9, EVERY_S])
        self.house.index()

    def fault(self) -> None:
        """Let one part be down for a while."""
        steps = ("catalogue.put", "search.apply", "broker.publish_downstream", "uploads.ack", "results.ack")
        self.house.journal.down = {self.chance.choice(steps)}
        self.index()
        self.house.journal.down = set()

    def end(self) -> None:
        """Finish all work, and republish the documents of one version by its present policy."""
        self.learn()
        self.switch_silently()
        for version in VERSIONS:
            for body in self.house.waiting(version):
                self.house.publish(self.outcome(decode_image_message(body), version))
        self.finish_indexing()
        self.house.clock.on_sleep = self.house.index
        republisher = Republisher(
            VERSIONS[0],
            settings=self.house.settings,
            store=self.house.store,
            search=self.house.search,
            results=self.house.broker.results(),
            clock=self.house.clock,
        )
        republisher.republish()
        self.finish_indexing()

    def finish_indexing(self) -> None:
        for _ in range(5):
            self.house.clock.now_s += EVERY_S
            self.house.index()


@pytest.mark.parametrize("seed", range(3))
def test_an_index_from_the_messages_alone_equals_ours_at_the_end_of_a_living_catalogue(
    house: House, cards: list[ModelCard], seed: int
) -> None:
    house.register(*cards)
    life = Life(house=house, cards=cards, chance=random.Random(seed))
    life.learn()
    tap, consumer = ResultsTap(house.url), ReferenceConsumer()
    tap.install()
    for _ in range(STEPS):
        life.step()
    life.end()
    bodies = tap.take()
    bodies += life.chance.sample(bodies, len(bodies) // 3)
    life.chance.shuffle(bodies)
    for body in bodies:
        consumer.apply(body)
    documents = house.real.search.get(sorted(life.revisions)).values()
    assert plain_following(consumer) == plain_index(documents)
    assert consumer.active_versions() == active_in(house.real.store.registry)
    assert {document.deleted for document in documents} == {True, False}
