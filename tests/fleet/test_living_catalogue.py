"""Everything at once: only here do two models, both lanes, edits, deletes, an operator's changes and random
faults come together, with a second consumer of the results."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from panopticon.registry import transitions
from panopticon.registry.records import ModelEntry
from panopticon.results.documents import SearchDocument
from panopticon.settings import Settings
from tests.fleet.commands import audit
from tests.fleet.following import Following
from tests.fleet.history import History, Truth
from tests.fleet.processes import VERSIONS, fleet
from tests.fleet.trial import wait_for, wait_until_empty
from tests.following import active_in, plain_following, plain_index
from tests.house import AUTHOR, House, house_of
from workers.maintenance.erase import Eraser
from workers.maintenance.republish import Republisher
from workers.registry.change_state import Versions

Break = Callable[[random.Random], str]

NULL = VERSIONS[0]
POLICIES = ("", 'renamed = { red = "rot" }\n')

EVENTS_A_ROUND = 40
ROUND_S = 1.0


@pytest.mark.parametrize("places", ["on_one_file", "on_three_servers"])
@pytest.mark.parametrize(
    ("duration_s", "fault_every_s"),
    [
        pytest.param(20.0, 4.0, id="20 seconds"),
        pytest.param(300.0, 20.0, id="5 minutes", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_search_equals_the_expected_state_and_an_audit_finds_no_loss(
    request: pytest.FixtureRequest, tmp_path: Path, places: str, duration_s: float, fault_every_s: float
) -> None:
    settings: Settings = request.getfixturevalue(places).model_copy(update={"lease_s": 3.0, "settle_s": 6.0})
    settings = settings.model_copy(update={"registry_every_s": 0.5})
    history, following = History(folder=tmp_path, chance=random.Random(5)), Following(settings)
    with fleet(settings, tmp_path) as running, house_of(settings) as house:
        following.begin()
        changes = Changes(house=house, history=history, chance=random.Random(7))
        live(changes, running.break_something, duration_s=duration_s, fault_every_s=fault_every_s)
        changes.republish()
        wait_until_empty(settings)
        running.restart("indexer", meanwhile=changes.switch_silently)
        # The indexer announces at its start what the command could not.
        serial = house.model(NULL.model).serial
        wait_for(lambda: following.catch_up().notices[NULL.model].get("serial") == serial)
        assert set(running.stop().values()) == {0}
        check_search(house, history.truths)
        documents = house.search.get(list(history.truths)).values()
        consumer = following.catch_up()
        assert plain_following(consumer) == plain_index(documents)
        assert consumer.active_versions() == active_in(house.store.registry)
    (tmp_path / "ids").write_text("\n".join(history.truths))
    assert audit(settings, tmp_path / "ids") == (0, set())


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The changes that upload services and an operator make."""

    house: House
    history: History
    chance: random.Random

    def upload(self) -> None:
        for lane, messages in self.history.events(EVENTS_A_ROUND).items():
            self.house.broker.uploads.publish(messages, lane)

    def erase(self) -> None:
        house = self.house
        eraser = Eraser(store=house.store, search=house.search, broker=house.broker, originals="")
        ids = self.chance.sample(list(self.history.truths), 5)
        for image_id, revision in eraser.erase(ids, now_ms=int(time.time() * 1000)).revisions.items():
            self.history.erased(image_id, revision)

    def put_policy(self) -> None:
        number = self.house.version(NULL).policy_number
        self.house.put_policy(NULL, POLICIES[number % len(POLICIES)])

    def switch(self) -> None:
        versions = Versions(store=self.house.store, broker=self.house.broker, by="ann")
        if self.house.model(NULL.model).active is None:
            versions.roll_back(NULL.model)
        else:
            versions.deactivate(NULL.model)

    def switch_silently(self) -> None:
        """Switch as a command does that is killed before it announces that."""

        def changed(entry: ModelEntry) -> ModelEntry:
            if entry.active is None:
                return transitions.roll_back(entry, AUTHOR)
            return transitions.deactivate(entry, AUTHOR)

        self.house.change(NULL, changed)

    def republish(self) -> None:
        """Republish the documents that are still by an older policy."""
        results = self.house.broker.results()
        house = self.house
        Republisher(
            NULL, settings=house.settings, store=house.store, search=house.search, results=results
        ).republish()


def live(changes: Changes, break_something: Break, *, duration_s: float, fault_every_s: float) -> None:
    """Publish events for a time, and at intervals cause a fault or change something else."""
    chance = random.Random(6)
    others = cycle([changes.erase, changes.put_policy, changes.switch, changes.switch_silently])
    begun_s = next_fault_s = time.monotonic()
    while time.monotonic() - begun_s < duration_s:
        changes.upload()
        next(others)()
        if time.monotonic() >= next_fault_s:
            break_something(chance)
            next_fault_s = time.monotonic() + fault_every_s
        time.sleep(ROUND_S)


def check_search(house: House, truths: dict[str, Truth]) -> None:
    assert house.store.outputs.failures_of(list(truths)) == []
    documents = house.search.get(list(truths))
    assert {image_id: seen(documents[image_id]) for image_id in truths} == {
        image_id: expected(truth) for image_id, truth in truths.items()
    }


def seen(document: SearchDocument) -> dict[str, object]:
    """Return the state in a document, its scores as colours from 0 to 255."""
    parts = {
        name: tuple(round(score * 255) for score in part.scores.values())
        for name, part in document.parts.items()
    }
    return {"revision": document.revision, "deleted": document.deleted, "parts": parts}


def expected(truth: Truth) -> dict[str, object]:
    parts = {} if truth.deleted else {version.part: truth.colour for version in VERSIONS}
    return {"revision": truth.revision, "deleted": truth.deleted, "parts": parts}
