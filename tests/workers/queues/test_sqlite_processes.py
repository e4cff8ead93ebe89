"""Several real processes on one file: no message is lost, and none is delivered to two."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from panopticon.messages import Lane
from tests.contracts.broker import bodies, depths
from tests.contracts.examples import TAGGER
from tests.workers.queues.fake_clock import FakeClock
from workers.queues.sqlite import SqliteBroker

ROOT = Path(__file__).parents[3]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/panopticon.db"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Start processes that end with the test."""
    with ExitStack() as stack:
        processes: list[subprocess.Popen[str]] = []
        yield processes
        for process in processes:
            stack.enter_context(process)
            process.kill()


def start(url: str, *, batch: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.workers.queues.receiver", url, f"{batch}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert read_until(process, "ready") == []
    return process


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def read_until(process: subprocess.Popen[str], last: str) -> list[str]:
    """Return the lines before `last`."""
    assert process.stdout is not None
    return [line.strip() for line in iter(process.stdout.readline, f"{last}\n")]


def test_every_message_reaches_exactly_one_of_several_processes(
    url: str, started: list[subprocess.Popen[str]]
) -> None:
    submitted = [f"{number}" for number in range(2_000)]
    with closing(SqliteBroker(url)) as broker:
        queue = broker.model_queue(TAGGER)
        queue.submit([body.encode() for body in submitted], Lane.BACKFILL)
        started += [start(url, batch=7) for _ in range(3)]
        for process in started:
            go_on(process)
        received = [body for process in started for body in read_until(process, "holding")]
        assert len(received) == 21
        for process in started:
            go_on(process)
        received += [body for process in started for body in process.communicate(timeout=60)[0].split()]
        assert sorted(received) == sorted(submitted)
        assert depths(queue, Lane.BACKFILL) == (0, 0, 0)


def killed_with_two_leases(url: str, started: list[subprocess.Popen[str]]) -> None:
    """Submit three messages, of which a process leases two before it is killed."""
    with closing(SqliteBroker(url)) as broker:
        broker.model_queue(TAGGER).submit([b"1", b"2", b"3"], Lane.LIVE)
    victim = start(url, batch=2)
    started.append(victim)
    go_on(victim)
    assert read_until(victim, "holding") == ["1", "2"]
    victim.kill()
    victim.wait(timeout=60)


def test_the_messages_of_a_killed_process_are_delivered_to_another_at_once(
    url: str, started: list[subprocess.Popen[str]]
) -> None:
    killed_with_two_leases(url, started)
    with closing(SqliteBroker(url)) as broker:
        received = broker.model_queue(TAGGER).receive(max_live=9, max_backfill=0, wait_s=0)
    assert [(each.body, each.redelivered) for each in received] == [(b"1", True), (b"2", True), (b"3", False)]


@pytest.mark.parametrize("holder", ["another-machine/1/1", "", "nonsense"])
def test_the_messages_of_a_process_that_is_not_of_this_machine_wait_for_the_end_of_its_lease(
    url: str, started: list[subprocess.Popen[str]], holder: str
) -> None:
    killed_with_two_leases(url, started)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE messages SET holder = ?", (holder,))
    clock = FakeClock(time.time())
    with closing(SqliteBroker(url, clock=clock)) as broker:
        queue = broker.model_queue(TAGGER)
        assert bodies(queue.receive(max_live=9, max_backfill=0, wait_s=0)) == [b"3"]
        clock.now_s += 60
        again = queue.receive(max_live=9, max_backfill=0, wait_s=0)
        assert [(each.body, each.redelivered) for each in again][:2] == [(b"1", True), (b"2", True)]
