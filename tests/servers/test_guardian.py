"""Programs that a test run started end with the run, even if the run is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.servers.guardian import start_guarded

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
GONE_S = 5.0

SERVER_AND_WORKER = """
import time
from tests.workers.faults.pipeline import model_process_of, pipeline

def test_that_never_ends(rabbit_node, tmp_path):
    with rabbit_node.site.virtual_host() as url, pipeline(tmp_path, "null", broker=url) as run:
        worker = run.start_worker()
        run.wait_until(lambda: model_process_of(worker))
        open("begun", "w")
        time.sleep(600)
"""
SLEEPERS = """
import os, sys, time
from tests.servers.guardian import start_guarded

FORKED = "import os, time; os.fork() or os.setsid(); time.sleep(600)"

def test_that_{ends}():
    for _ in range(2):
        start_guarded([sys.executable, "-c", FORKED], environ=os.environ)
    time.sleep(1)
    open("begun", "w")
    {body}
"""


@contextmanager
def begun(
    folder: Path, code: str, *options: str
) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """Run one test file until it has begun; yield the run, and the processes that it has started."""
    (folder / "test_inner.py").write_text(code)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.servers.fixtures"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        run = start_guarded(
            [*command, f"--basetemp={folder / 'temp'}", *options],
            environ=environ,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    processes: list[psutil.Process] = []
    try:
        until_s = time.monotonic() + PATIENCE_S
        while not (folder / "begun").exists():
            assert run.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until_s, (folder / "log").read_text()
            time.sleep(0.1)
        processes = psutil.Process(run.pid).children(recursive=True)
        yield run, processes
    finally:
        run.kill()
        run.wait()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def left_of(processes: list[psutil.Process], *, after_s: float) -> list[psutil.Process]:
    """Return those that still run after so long; one that nobody has waited for is not running."""
    until_s = time.monotonic() + after_s
    while left := [each for each in processes if _is_running(each)]:
        if time.monotonic() > until_s:
            return left
        time.sleep(0.05)
    return []


def _is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.xdist_group("servers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_and_a_worker_end_when_their_run_is_ended_by(number: signal.Signals, tmp_path: Path) -> None:
    with begun(tmp_path, SERVER_AND_WORKER) as (run, processes):
        names = [process.name() for process in processes]
        assert {"beam.smp", "epmd"} <= set(names)
        commands = [" ".join(process.cmdline()) for process in processes]
        assert any("workers.cli.main worker" in command for command in commands)
        assert any("model_process" in command for command in commands)
        run.send_signal(number)
        run.wait(GONE_S)
        assert left_of(processes, after_s=GONE_S) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_processes_with_children_in_other_sessions_end_when_their_run_is_ended_by(
    number: signal.Signals, tmp_path: Path
) -> None:
    code = SLEEPERS.format(ends="never_ends", body="time.sleep(600)")
    with begun(tmp_path, code) as (run, processes):
        assert len(processes) == 5, "two, a child of each, and the guardian"
        run.send_signal(number)
        run.wait(GONE_S)
        assert left_of(processes, after_s=GONE_S) == []


def test_processes_of_a_run_in_several_processes_end_with_the_one_that_controls_it(tmp_path: Path) -> None:
    code = SLEEPERS.format(ends="never_ends", body="time.sleep(600)")
    with begun(tmp_path, code, "-n", "1") as (run, processes):
        assert len(processes) == 7, "those of a run in one process, that process, and its guardian"
        run.kill()
        assert left_of(processes, after_s=GONE_S) == []


def test_what_a_test_has_left_behind_is_gone_when_the_run_has_ended_in_order(tmp_path: Path) -> None:
    with begun(tmp_path, SLEEPERS.format(ends="ends", body="time.sleep(1)")) as (run, processes):
        assert len(processes) == 5
        assert run.wait(60) == 0, (tmp_path / "log").read_text()
        assert left_of(processes, after_s=0.0) == []
