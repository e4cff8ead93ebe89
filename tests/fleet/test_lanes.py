"""Live images and a backlog: only here do live images pass 5,000 that wait, on one file and on servers.

How batches are filled from the two lanes is in tests/panopticon/scheduling/test_dispatch.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from panopticon.cards.cards import ModelCard
from panopticon.messages import ImageMessage, Lane, ResultPublished, encode
from panopticon.metrics import Metrics
from panopticon.models import find_card
from panopticon.results.outputs import VersionName
from panopticon.scheduling.dispatch import Phase
from panopticon.scheduling.items import Answer, Item
from panopticon.settings import Settings
from storage.originals.files import uri_of
from tests.house import house_of
from workers.model_process.client import ModelClient
from workers.model_process.frames import StartedFrame
from workers.registry.policy_cache import PolicyCache
from workers.worker.consumer import Consumer, ConsumerSettings
from workers.worker.run import present_policy
from workers.worker.settlement import Settlement

Submit = Callable[[Sequence[bytes], Lane], None]

BACKLOG = 5000
SLOW = VersionName(model="slow", version=1)
places = pytest.mark.parametrize("places", ["on_one_file", "on_three_servers"])


class ObservedModelClient(ModelClient):
    """A client that records the arrivals of live images and the starts of batches, in their order."""

    def __init__(self, card: ModelCard, settings: Settings, *, metrics: Metrics) -> None:
        super().__init__(card, settings, metrics=metrics)
        self.seen: list[tuple[str, list[int]]] = []

    def add(self, lane: Lane, *, uri: str = "", encoded: bytes | None = None, trace: str = "") -> Item:
        # Batches that began before are recorded before.
        self._read_progress()
        item = super().add(lane, uri=uri, encoded=encoded, trace=trace)
        if lane is Lane.LIVE:
            self.seen.append(("arrived", [item.id]))
        return item

    def poll(self, *, wait_s: float) -> list[Answer]:
        self._read_progress()
        return super().poll(wait_s=wait_s)

    def _started(self, frame: StartedFrame) -> None:
        if frame.phase is Phase.RUN:
            self.seen.append(("ran", list(frame.ids)))
        super()._started(frame)

    def has_run(self, arrived: int) -> bool:
        return self.batches_before(arrived) is not None

    def batches_before(self, arrived: int) -> int | None:
        """Return the number of batches between an image's arrival and its own; None until that starts."""
        after = self.seen[self.seen.index(("arrived", [arrived])) + 1 :]
        batches = [ids for what, ids in after if what == "ran"]
        return next((at for at, ids in enumerate(batches) if arrived in ids), None)


@places
def test_at_most_one_other_batch_starts_between_a_live_images_arrival_and_its_own(
    request: pytest.FixtureRequest, tmp_path: Path, places: str
) -> None:
    settings: Settings = request.getfixturevalue(places)
    picture = tmp_path / "picture.png"
    Image.new("RGB", (16, 16), (1, 2, 3)).save(picture)
    with consuming(settings) as (consumer, model, submit):
        submit([message(f"old-{n}", picture) for n in range(BACKLOG)], Lane.BACKFILL)
        for round_ in range(10):
            turn_until(consumer, lambda: sum(what == "ran" for what, _ in model.seen) >= 3)
            model.seen.clear()
            submit([message(f"live-{round_}", picture)], Lane.LIVE)
            turn_until(consumer, lambda: any(what == "arrived" for what, _ in model.seen))
            (arrived,) = next(ids for what, ids in model.seen if what == "arrived")
            turn_until(consumer, partial(model.has_run, arrived))
            assert model.batches_before(arrived) in (0, 1)


@places
def test_a_live_result_is_searchable_before_the_200th_of_a_backlog(
    request: pytest.FixtureRequest, places: str
) -> None:
    settings: Settings = request.getfixturevalue(places)
    with house_of(settings) as house:
        house.real.search.create()
        house.broker.results().submit([result(f"old-{n}") for n in range(BACKLOG)], Lane.BACKFILL)
        house.broker.results().submit([result("live")], Lane.LIVE)
        while not house.search.get(["live"]):
            house.indexer.turn()
        applied = house.search.get([f"old-{n}" for n in range(BACKLOG)])
        assert len(applied) < 200


@contextmanager
def consuming(settings: Settings) -> Iterator[tuple[Consumer, ObservedModelClient, Submit]]:
    """Yield a consumer whose turns the test calls, its model process, and a way to submit to its queue."""
    card = find_card(SLOW, settings.models_dir)
    with house_of(settings) as house:
        house.register(card)
        # The consumer is timed, so nothing stands between it and the servers.
        store, broker = house.real.store, house.real.broker
        queue = broker.model_queue(SLOW)
        settlement = Settlement(
            version=SLOW,
            policy=partial(present_policy, PolicyCache(store.registry, store.archive, settings), SLOW),
            queue=queue,
            outputs=store.outputs,
            results=broker.results(),
            undeliverable=broker.undeliverable(),
        )
        model = ObservedModelClient(card, settings, metrics=Metrics())
        consumer = Consumer(
            card=card,
            settings=ConsumerSettings.of(settings),
            queue=queue,
            outputs=store.outputs,
            catalogue=store.catalogue,
            settlement=settlement,
            model=model,
            metrics=Metrics(),
        )
        try:
            yield consumer, model, queue.submit
        finally:
            consumer.drain(timeout_s=5.0)
            model.close()


def turn_until(consumer: Consumer, done: Callable[[], bool]) -> None:
    for _ in range(2000):
        if done():
            return
        consumer.turn()
    raise AssertionError("not within 2000 turns")


def message(image_id: str, picture: Path) -> bytes:
    return encode(ImageMessage(image_id=image_id, image_uri=uri_of(os.fsencode(picture))))


def result(image_id: str) -> bytes:
    return encode(
        ResultPublished(
            image_id=image_id, revision=0, model="slow", version=1, policy_number=1, scores={"red": 0.5}
        )
    )
