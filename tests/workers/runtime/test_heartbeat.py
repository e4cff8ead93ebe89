"""The heartbeats that a process writes about itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from panopticon.errors import Unavailable
from panopticon.registry.heartbeats import EVERY_S, Heartbeat, ProcessRole, ProcessState
from storage.stores.sqlite import SqliteStore
from tests.workers.queues.fake_clock import FakeClock
from workers.runtime.heartbeat import HeartbeatWriter

SOURCE_DOWN = Unavailable("source", "connection refused")
STORE_DOWN = Unavailable("store", "locked")


class Process:
    """A writer and its clock, and what others see of it."""

    def __init__(self, store: SqliteStore) -> None:
        self.clock = FakeClock()
        self.store = store
        self.writer = HeartbeatWriter(
            store.heartbeats, role=ProcessRole.WORKER, version="tagger@1", digest="5" * 64, clock=self.clock
        )

    def turn(self, *, parked: Unavailable | None = None, done: int = 0, engine: str = "litert") -> None:
        self.writer.turn(ready=bool(engine), parked=parked, done=done, engine=engine)

    def alive(self) -> list[Heartbeat]:
        return self.store.heartbeats.alive(now_ms=int(self.clock.time() * 1000))

    @property
    def seen(self) -> Heartbeat:
        (heartbeat,) = self.alive()
        return heartbeat


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with closing(SqliteStore(f"sqlite:///{tmp_path / 'house.db'}")) as store:
        yield Process(store)


def test_a_process_is_seen_from_its_first_turn_on(process: Process) -> None:
    process.turn(engine="")
    assert (process.seen.works_on, process.seen.state) == ("tagger@1", ProcessState.STARTING)
    process.clock.sleep(EVERY_S)
    process.turn()
    assert (process.seen.engine, process.seen.state) == ("litert", ProcessState.READY)


def test_between_two_heartbeats_nothing_is_written(process: Process) -> None:
    process.turn()
    first = process.seen
    process.clock.sleep(EVERY_S - 1)
    process.turn(done=100)
    assert process.seen == first


def test_the_rate_is_that_since_the_last_heartbeat(process: Process) -> None:
    process.turn(done=100)
    process.clock.sleep(10.0)
    process.turn(done=150)
    assert process.seen.images_per_s == 5.0


def test_a_parked_process_names_the_component_the_reason_and_the_moment(process: Process) -> None:
    process.turn()
    process.clock.sleep(2.0)
    parked_at_ms = int(process.clock.time() * 1000)
    process.turn(parked=SOURCE_DOWN)
    process.clock.sleep(50.0)
    process.turn(parked=Unavailable("source", "connection reset"))
    seen = process.seen
    assert (seen.state, seen.component, seen.reason) == (ProcessState.PARKED, "source", "connection reset")
    assert seen.since_ms == parked_at_ms


def test_a_remark_is_shown_though_the_process_is_not_parked(process: Process) -> None:
    process.writer.turn(ready=True, parked=None, done=0, remark="images wait")
    assert (process.seen.state, process.seen.reason) == (ProcessState.READY, "images wait")


def test_while_the_store_is_down_no_heartbeat_is_tried(process: Process) -> None:
    process.turn()
    first = process.seen
    process.clock.sleep(EVERY_S)
    process.turn(parked=STORE_DOWN)
    assert process.seen == first


def test_a_store_that_fails_meanwhile_ends_no_process(process: Process) -> None:
    class DownHeartbeatsFake:
        def put(self, heartbeat: Heartbeat) -> None:
            raise STORE_DOWN

        def alive(self, *, now_ms: int) -> list[Heartbeat]:
            raise STORE_DOWN

    writer = HeartbeatWriter(DownHeartbeatsFake(), role=ProcessRole.INDEXER, clock=process.clock)
    writer.turn(ready=True, parked=None, done=0)
    writer.end(done=0)


def test_a_process_that_ended_is_no_longer_seen(process: Process) -> None:
    process.turn()
    process.writer.end(done=0)
    assert process.alive() == []
