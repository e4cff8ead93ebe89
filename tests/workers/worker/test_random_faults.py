"""Random faults of every component and of images: in the end each image is stored, and nothing is left."""

from __future__ import annotations

from pathlib import Path
from random import Random
from random import seed as seed_jitter

import pytest

from panopticon.errors import Transient, Unavailable
from panopticon.messages import Lane
from panopticon.scheduling.items import Answer, Item
from tests.workers.worker.consumer_bench import HELLO, ConsumerBench, consumer_bench, not_run, ran

IMAGES = 60
FAULTY_TURNS = 400
STEPS = ("queue", "queue.receive", "queue.renew", "queue.ack", "outputs", "outputs.put", "results.submit")
MODEL_DOWN = Unavailable("model", "its self-test failed")


class RandomFaults:
    """Breaks and repairs parts of a bench, one step a turn."""

    def __init__(self, bench: ConsumerBench, random: Random) -> None:
        self._bench = bench
        self._random = random
        bench.model.answer = self._answer

    def step(self) -> None:
        bench, chance = self._bench, self._random.random()
        if chance < 0.05:
            bench.journal.down = {self._random.choice(STEPS)}
        elif chance < 0.10:
            bench.model.down, bench.model.hello = MODEL_DOWN, None
        elif chance < 0.15:
            bench.registry_down = Unavailable("store", "the registry could not be read")
        elif chance < 0.45:
            self.repair()
        elif chance < 0.46:
            bench.clock.now_s += 2 * bench.settings.park_hold_s

    def repair(self) -> None:
        bench = self._bench
        bench.journal.down.clear()
        bench.registry_down = None
        bench.model.down, bench.model.hello = None, HELLO

    def _answer(self, item: Item) -> Answer | None:
        if self._bench.model.down is not None:
            return None
        chance = self._random.random()
        if chance < 0.05:
            return not_run(Unavailable("source", "no answer"))(item)
        if chance < 0.20:
            return not_run(Transient("connection_reset"))(item)
        return None if chance < 0.40 else ran(item)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_fails_every_image_is_stored_and_nothing_is_left(tmp_path: Path, seed: int) -> None:
    seed_jitter(seed)
    random = Random(seed)
    with consumer_bench(tmp_path, retry_delays_s=(1.0,) * 200, breaker_failures=3) as bench:
        image_ids = [str(number) for number in range(IMAGES)]
        for image_id in image_ids:
            uri = f"https://{random.choice('abc')}/{image_id}"
            bench.submit(image_id, lane=random.choice(list(Lane)), image_uri=uri)
        faults = RandomFaults(bench, random)
        for _ in range(FAULTY_TURNS):
            faults.step()
            bench.turns(1)
        faults.repair()
        bench.model.answer = ran
        bench.run_until_settled()
        # A source that was down is known to be back only once an image was fetched from it.
        bench.submit("last")
        bench.run_until(lambda: bench.waiting() == 0 and bench.consumer.parked is None)
        assert (sorted(bench.stored()), bench.dead()) == (sorted(image_ids), {})
        assert {image_id for _, image_id in bench.published()} == {*image_ids, "last"}
        assert (bench.consumer.in_flight, bench.model.held) == (0, [])
