"""Any sequence of calls has the same effect on the SQLite queue as on a list in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from panopticon.interfaces import Delivery
from panopticon.messages import Lane
from tests.contracts.examples import TAGGER
from tests.workers.queues.fake_clock import FakeClock
from workers.queues.sqlite import SqliteBroker

LEASE_S = 60.0


@dataclass(kw_only=True)
class Held:
    """One message in the model."""

    body: bytes
    lane: Lane
    attempt: int = 0
    deliveries: int = 0
    free_at_s: float = 0.0
    holder: str = ""


class QueueMachine(RuleBasedStateMachine):
    deliveries = Bundle("deliveries")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.broker = SqliteBroker(
            f"sqlite:///{self.folder.name}/panopticon.db", lease_s=LEASE_S, clock=self.clock
        )
        self.queue = self.broker.model_queue(TAGGER)
        self.model: list[Held] = []
        self.submitted = 0

    def teardown(self) -> None:
        self.broker.close()
        self.folder.cleanup()

    @rule(count=st.integers(1, 4), lane=st.sampled_from(Lane))
    def submit(self, count: int, lane: Lane) -> None:
        bodies = [f"{self.submitted + number}".encode() for number in range(count)]
        self.submitted += count
        self.queue.submit(bodies, lane)
        self.model += [Held(body=body, lane=lane) for body in bodies]

    @rule(target=deliveries, max_live=st.integers(0, 3), max_backfill=st.integers(0, 3))
    def receive(self, max_live: int, max_backfill: int) -> object:
        expected = [*self._ready(Lane.LIVE)][:max_live] + [*self._ready(Lane.BACKFILL)][:max_backfill]
        received = self.queue.receive(max_live=max_live, max_backfill=max_backfill, wait_s=0)
        assert [_shown(delivery) for delivery in received] == [
            (held.body, held.lane, held.attempt, held.deliveries > 0) for held in expected
        ]
        for held, delivery in zip(expected, received, strict=True):
            held.deliveries += 1
            held.holder = delivery.tag
            held.free_at_s = self.clock.now_s + LEASE_S
        return multiple(*received)

    @rule(delivery=deliveries)
    def ack(self, delivery: Delivery) -> None:
        self.queue.ack([delivery])
        self.model = [held for held in self.model if not self._holds(delivery, held)]

    @rule(delivery=deliveries, delay_s=st.sampled_from([0.0, 10.0, 600.0]))
    def retry(self, delivery: Delivery, delay_s: float) -> None:
        self.queue.retry(delivery, delay_s=delay_s)
        for held in self._held_by(delivery):
            held.attempt += 1
            held.holder = ""
            held.free_at_s = self.clock.now_s + delay_s
            # A retried message goes behind all others.
            self.model.remove(held)
            self.model.append(held)

    @rule(delivery=deliveries)
    def requeue(self, delivery: Delivery) -> None:
        self.queue.requeue([delivery])
        for held in self._held_by(delivery):
            held.holder = ""
            held.free_at_s = 0.0

    @rule(delivery=deliveries)
    def renew(self, delivery: Delivery) -> None:
        self.queue.renew([delivery])
        for held in self._held_by(delivery):
            held.free_at_s = self.clock.now_s + LEASE_S

    @rule(seconds=st.sampled_from([1.0, 10.0, 59.0, 60.0, 700.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @invariant()
    def depth_is_exact(self) -> None:
        for lane, depth in self.queue.depth().items():
            waiting = [held for held in self.model if held.lane is lane and self._waits(held)]
            assert depth.ready == len([*self._ready(lane)])
            assert depth.leased == len([held for held in waiting if held.holder])
            assert depth.retrying == len([held for held in waiting if not held.holder])

    def _waits(self, held: Held) -> bool:
        return held.free_at_s > self.clock.now_s

    def _ready(self, lane: Lane) -> Iterator[Held]:
        return (held for held in self.model if held.lane is lane and not self._waits(held))

    def _holds(self, delivery: Delivery, held: Held) -> bool:
        return held.holder == delivery.tag and self._waits(held)

    def _held_by(self, delivery: Delivery) -> list[Held]:
        return [held for held in self.model if self._holds(delivery, held)]


def _shown(delivery: Delivery) -> tuple[bytes, Lane, int, bool]:
    return delivery.body, delivery.lane, delivery.attempt, delivery.redelivered


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestQueueMachine = QueueMachine.TestCase
