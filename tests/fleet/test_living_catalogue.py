"""Everything at once: only here do two models, both lanes, edits, deletes and random faults come together."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from panopticon.interfaces import Broker
from panopticon.results.documents import SearchDocument
from panopticon.settings import Settings
from tests.fleet.commands import audit
from tests.fleet.history import History, Truth
from tests.fleet.processes import VERSIONS, fleet
from tests.fleet.trial import wait_until_empty
from tests.house import House, house_of

Break = Callable[[random.Random], str]

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
    history = History(folder=tmp_path, chance=random.Random(5))
    with fleet(settings, tmp_path) as running, house_of(settings) as house:
        live(
            house.broker, history, running.break_something, duration_s=duration_s, fault_every_s=fault_every_s
        )
        wait_until_empty(settings)
        assert set(running.stop().values()) == {0}
        check_search(house, history.truths)
    (tmp_path / "ids").write_text("\n".join(history.truths))
    assert audit(settings, tmp_path / "ids") == (0, set())


def live(
    broker: Broker, history: History, break_something: Break, *, duration_s: float, fault_every_s: float
) -> None:
    """Publish events for a time, and cause a fault at intervals."""
    chance = random.Random(6)
    begun_s = next_fault_s = time.monotonic()
    while time.monotonic() - begun_s < duration_s:
        for lane, messages in history.events(EVENTS_A_ROUND).items():
            broker.uploads.publish(messages, lane)
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
        name: tuple(round(part.scores[colour] * 255) for colour in ("red", "green", "blue"))
        for name, part in document.parts.items()
    }
    return {"revision": document.revision, "deleted": document.deleted, "parts": parts}


def expected(truth: Truth) -> dict[str, object]:
    parts = {} if truth.deleted else {version.part: truth.colour for version in VERSIONS}
    return {"revision": truth.revision, "deleted": truth.deleted, "parts": parts}
