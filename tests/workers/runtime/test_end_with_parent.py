"""A child ends when its parent has ended: by the kernel's signal, and by the pipe alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.servers.guardian import guarded
from tests.servers.process import wait_until

PARENT = """
import sys, threading
from workers.runtime.end_with_parent import start_child

def start():
    start_child("tests.workers.runtime.sleeper", sys.argv[2:])

if sys.argv[1] == "thread":
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
else:
    start()
sys.stdin.read()
"""
LIMIT_S = 60.0

in_thread_or_not = pytest.mark.parametrize("started_by", ["main", "thread"])


@contextmanager
def family(started_by: str, *words: str) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A parent, and its child once that runs."""
    command = [sys.executable, "-c", PARENT, started_by, *words]
    with subprocess.Popen(
        command, env=guarded(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        yield parent, child
        parent.kill()


def ended(child: psutil.Process) -> Callable[[], bool]:
    return lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@in_thread_or_not
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(started_by: str, number: signal.Signals) -> None:
    with family(started_by) as (parent, child):
        parent.send_signal(number)
        wait_until(ended(child), "the end of the child", limit_s=LIMIT_S)


@in_thread_or_not
def test_a_child_that_does_not_react_is_killed(started_by: str) -> None:
    with family(started_by, "ignore") as (parent, child):
        parent.kill()
        wait_until(ended(child), "the end of the child", limit_s=LIMIT_S)


@in_thread_or_not
def test_a_child_gets_one_signal_so_that_it_can_drain(started_by: str) -> None:
    with family(started_by, "drain") as (parent, child):
        parent.kill()
        assert parent.stdout is not None
        assert parent.stdout.read() == "drained\n"
        wait_until(ended(child), "the end of the child", limit_s=LIMIT_S)


def test_a_child_outlives_the_thread_that_started_it() -> None:
    with family("thread", "answer") as (parent, child):
        # The thread has ended before the parent reads its input.
        child.send_signal(signal.SIGUSR1)
        assert parent.stdout is not None
        assert parent.stdout.readline() == "here\n"
