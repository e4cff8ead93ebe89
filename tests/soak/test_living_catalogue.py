"""Two models, both lanes, edits, deletes, and a fault again and again: nothing lost, search as it must be."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from panopticon.documents import SearchDocument
from panopticon.settings import Settings
from storage.outputs import open_store
from storage.search import open_search
from tests.fleet.processes import MODELS, VERSIONS, fleet
from tests.fleet.trial import give_up_after
from tests.soak.history import History, Truth
from workers.indexing import remaining, wait_until_done
from workers.queues import open_broker

Hurt = Callable[[random.Random], str]

EVENTS_A_ROUND = 40
ROUND_S = 1.0


@pytest.mark.parametrize(
    ("duration_s", "fault_every_s"),
    [
        pytest.param(20.0, 4.0, id="20 seconds"),
        pytest.param(300.0, 20.0, id="5 minutes", marks=pytest.mark.soak),
    ],
)
def test_search_equals_the_oracle_and_the_ledger_closes(
    tmp_path: Path, duration_s: float, fault_every_s: float
) -> None:
    settings = Settings(
        database=f"sqlite:///{tmp_path / 'soak.db'}",
        models_dir=MODELS,
        cache_dir=tmp_path / "cache",
        lease_s=3.0,
        park_max_s=1.0,
    )
    history = History(folder=tmp_path, chance=random.Random(5))
    with fleet(settings, tmp_path) as running:
        live(settings, history, running.hurt, duration_s=duration_s, fault_every_s=fault_every_s)
        broker = open_broker(settings.broker_url)
        wait_until_done(broker, VERSIONS, watch=give_up_after(120.0), every_s=0.2)
        exit_codes = running.stop()
    assert set(exit_codes.values()) == {0}
    check(settings, history.truths)
    assert remaining(broker, VERSIONS).none


def live(
    settings: Settings, history: History, hurt: Hurt, *, duration_s: float, fault_every_s: float
) -> None:
    """Events round after round, and a fault now and then."""
    broker, chance = open_broker(settings.broker_url), random.Random(6)
    begun_s = next_fault_s = time.monotonic()
    while time.monotonic() - begun_s < duration_s:
        for lane, bodies in history.events(EVENTS_A_ROUND).items():
            broker.uploads.publish(bodies, lane)
        if time.monotonic() >= next_fault_s:
            hurt(chance)
            next_fault_s = time.monotonic() + fault_every_s
        time.sleep(ROUND_S)


def check(settings: Settings, truths: dict[str, Truth]) -> None:
    store, search = open_store(settings.store_url), open_search(settings.search_url)
    documents = search.get(list(truths))
    assert {image_id: seen(documents[image_id]) for image_id in truths} == {
        image_id: expected(truth) for image_id, truth in truths.items()
    }
    deleted = sum(truth.deleted for truth in truths.values())
    assert store.counts is not None
    for version in VERSIONS:
        ledger = store.counts.count(version, retired=False)
        assert (ledger.dead, ledger.pending, ledger.accepted) == (0, 0, len(truths)), ledger
        assert ledger.skipped <= deleted, ledger


def seen(document: SearchDocument) -> dict[str, object]:
    """What a document says, in whole colour steps."""
    parts = {
        name: tuple(round(part.scores[colour] * 255) for colour in ("red", "green", "blue"))
        for name, part in document.parts.items()
    }
    return {"revision": document.revision, "deleted": document.deleted, "parts": parts}


def expected(truth: Truth) -> dict[str, object]:
    parts = {} if truth.deleted else {version.part: truth.colour for version in VERSIONS}
    return {"revision": truth.revision, "deleted": truth.deleted, "parts": parts}
