"""A consumer between a real queue and a real store, with a model that answers at once as a test decides."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.interfaces import Depth
from panopticon.messages import ImageMessage, Lane, decode_result_message, encode
from panopticon.metrics import Metrics
from panopticon.policy.policy import Policy, PolicyEvaluator
from panopticon.results.outputs import Failure, FailureState, Output
from panopticon.scheduling.items import Answer, Hello, Item, NotRun, Ran
from panopticon.settings import Settings
from storage.stores.sqlite import SqliteStore
from tests.panopticon.null_card import write_null_card
from tests.workers.fakes import CatalogueFake, Journal, OutputStoreFake, QueueFake
from tests.workers.queues.fake_clock import FakeClock
from workers.queues.sqlite import SqliteBroker, SqliteQueue
from workers.registry.policy_cache import ResolvedPolicy
from workers.worker.consumer import Consumer, ConsumerSettings
from workers.worker.settlement import Settlement

BEST_BATCH = 4
CREDIT = 3 * BEST_BATCH
MAX_TURNS = 3000
HELLO = Hello(digest="d", engine="null", libraries="numpy", best_batch=BEST_BATCH, dim=3)


def ran(item: Item, *, red: float = 0.5) -> Ran:
    return Ran(
        item=item,
        vector=np.array([red, 0, 0], dtype=np.float32),
        engine="null",
        libraries="numpy",
        source_sha256="0" * 64,
        width_px=1,
        height_px=1,
    )


def not_run(error: Rejected | Transient | Unavailable) -> Callable[[Item], Answer]:
    return lambda item: NotRun(item=item, error=error)


def silent(_item: Item) -> None:
    """Never answer."""


@dataclass(kw_only=True)
class ModelRunnerFake:
    """A ModelRunner that answers each image at the next poll as `answer` decides; None: not yet."""

    clock: FakeClock
    answer: Callable[[Item], Answer | None] = ran
    hello: Hello | None = HELLO
    down: Unavailable | None = None
    best_batch: int = BEST_BATCH
    credit: int = CREDIT
    held: list[Item] = field(default_factory=list)
    seen: list[Item] = field(default_factory=list)
    most_held: int = 0
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, lane: Lane, *, uri: str = "", encoded: bytes | None = None) -> Item:
        item = Item(id=next(self._ids), lane=lane, uri=uri, encoded=encoded)
        self.held.append(item)
        self.seen.append(item)
        self.most_held = max(self.most_held, len(self.held))
        return item

    def poll(self, *, wait_s: float) -> list[Answer]:
        self.clock.now_s += wait_s
        answers = [answer for item in self.held if (answer := self.answer(item)) is not None]
        done = {answer.item.id for answer in answers}
        self.held = [item for item in self.held if item.id not in done]
        return answers

    def release(self) -> list[Item]:
        items, self.held = self.held, []
        return items

    def close(self) -> None: ...


@dataclass(kw_only=True)
class ConsumerBench:
    """One consumer, with its queue, its store and its model."""

    card: ModelCard
    clock: FakeClock
    broker: SqliteBroker
    store: SqliteStore
    journal: Journal
    model: ModelRunnerFake
    metrics: Metrics
    settings: Settings
    registry_down: Unavailable | None = None
    """Set while the registry cannot be read."""
    consumer: Consumer = field(init=False)

    def __post_init__(self) -> None:
        queue = QueueFake(self.queue, "queue", self.journal)
        outputs = OutputStoreFake(self.store.outputs, self.journal)
        evaluator = PolicyEvaluator(Policy(), task="scoring", labels=self.card.labels)
        settlement = Settlement(
            version=self.card.version_name,
            policy=partial(self._policy, evaluator),
            queue=queue,
            outputs=outputs,
            results=QueueFake(self.broker.results(), "results", self.journal),
            undeliverable=QueueFake(self.broker.undeliverable(), "undeliverable", self.journal),
        )
        self.consumer = Consumer(
            card=self.card,
            settings=ConsumerSettings.of(self.settings),
            queue=queue,
            outputs=outputs,
            catalogue=CatalogueFake(self.store.catalogue, self.journal),
            settlement=settlement,
            model=self.model,
            metrics=self.metrics,
            clock=self.clock.monotonic,
        )

    def _policy(self, evaluator: PolicyEvaluator) -> ResolvedPolicy:
        if self.registry_down is not None:
            raise self.registry_down
        return ResolvedPolicy(evaluator=evaluator, policy_number=1)

    @property
    def queue(self) -> SqliteQueue:
        return self.broker.model_queue(self.card.version_name)

    def submit(self, *image_ids: str, lane: Lane = Lane.LIVE, **fields: Any) -> None:
        self.queue.submit(
            [
                encode(ImageMessage(image_id=image_id, **{"image_uri": f"file:///{image_id}", **fields}))
                for image_id in image_ids
            ],
            lane,
        )

    def turns(self, number: int) -> None:
        for _ in range(number):
            self.consumer.turn()

    def run_until(self, done: Callable[[], bool]) -> None:
        for _ in range(MAX_TURNS):
            if done():
                return
            self.consumer.turn()
        raise AssertionError(f"not within {MAX_TURNS} turns")

    def run_until_settled(self) -> None:
        self.run_until(lambda: self.waiting() == 0)

    def parked_on(self) -> str | None:
        return self.consumer.parked.component if self.consumer.parked else None

    def depth(self, lane: Lane = Lane.LIVE) -> Depth:
        return self.queue.depth()[lane]

    def waiting(self) -> int:
        """Return the number of messages of both lanes, in any state."""
        return sum(depth.total for depth in self.queue.depth().values())

    def outputs(self) -> dict[str, list[Output]]:
        return {str(n): found for n in range(1000) if (found := self.store.outputs.versions_of(str(n)))}

    def stored(self) -> list[str]:
        return list(self.outputs())

    def dead(self) -> dict[str, Failure]:
        found = self.store.outputs.failures_of([str(number) for number in range(1000)])
        return {failure.key.image_id: failure for failure in found if failure.state is FailureState.DEAD}

    def retrying(self) -> dict[str, Failure]:
        """Return the records of retry delays that were not superseded by a failure."""
        found = self.store.outputs.failures_of([str(number) for number in range(1000)])
        return {failure.key.image_id: failure for failure in found if failure.state is FailureState.RETRYING}

    def published(self) -> list[tuple[str, str]]:
        """Return (kind, image_id) of everything published since the last call."""
        deliveries = self.broker.results().receive(max_live=999, max_backfill=999, wait_s=0)
        self.broker.results().ack(deliveries)
        messages = [decode_result_message(delivery.body) for delivery in deliveries]
        return [(message.kind, getattr(message, "image_id", "")) for message in messages]

    def attempts(self) -> list[int]:
        """Return the attempts spent by each message that is ready. The messages stay there."""
        deliveries = self.queue.receive(max_live=999, max_backfill=999, wait_s=0)
        self.queue.requeue(deliveries)
        return [delivery.attempt for delivery in deliveries]


@contextmanager
def consumer_bench(folder: Path, **settings: Any) -> Iterator[ConsumerBench]:
    url = f"sqlite:///{folder}/panopticon.db"
    clock = FakeClock()
    chosen = Settings.model_validate({"database": url, "park_max_s": 8.0, **settings})
    with (
        closing(SqliteBroker(url, lease_s=chosen.lease_s, clock=clock)) as broker,
        closing(SqliteStore(url)) as store,
    ):
        yield ConsumerBench(
            card=write_null_card(folder / "card"),
            clock=clock,
            broker=broker,
            store=store,
            journal=Journal(),
            model=ModelRunnerFake(clock=clock),
            metrics=Metrics(),
            settings=chosen,
        )
