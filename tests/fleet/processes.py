"""Workers and an indexer as processes, which a test may kill, pause and restart."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from panopticon.models import find_card
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from tests import program
from tests.house import house_of
from tests.servers.process import wait_until

MODELS = Path(__file__).parents[1] / "models"
VERSIONS = tuple(VersionName(model=name, version=1) for name in ("null", "slow"))
PAUSE_S = 2.0
START_S = 60.0


class Fleet:
    """The processes of some model versions and an indexer. One that is killed is started again."""

    def __init__(
        self, settings: Settings, folder: Path, versions: Sequence[VersionName], *, replicas: int
    ) -> None:
        """`replicas`: workers of each version, named `slow`, `slow-2` …"""
        self._settings = settings
        self._folder = folder
        workers = {_name(version, number): version for version in versions for number in range(replicas)}
        self.workers = list(workers)
        self._commands = {name: ["worker", "--model", str(version)] for name, version in workers.items()}
        self._commands["indexer"] = ["indexer"]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name in self._commands:
            self._start(name)

    def break_something(self, chance: random.Random) -> str:
        """Cause one fault; return its name."""
        name = chance.choice(list(self._commands))
        faults: list[Callable[[str], object]] = [self._kill, self._pause, self._kill_model, self.restart]
        fault = chance.choice(faults)
        fault(name)
        return f"{fault.__name__.strip('_')} {name}"

    def kill_worker(self) -> None:
        """Kill the worker of the slow model with -9, and start it again."""
        self._kill("slow")

    def kill_model(self) -> None:
        """Kill the process that holds the slow model with -9, as soon as its worker has one."""
        until_s = time.monotonic() + START_S
        while not psutil.Process(self._processes["slow"].pid).children():
            assert time.monotonic() < until_s, "the worker has started no model"
            time.sleep(0.01)
        self._kill_model("slow")

    def restart(self, name: str, *, meanwhile: Callable[[], object] = lambda: None) -> float:
        """Restart one as a rolling update does; return the seconds from SIGTERM until it had ended.

        `meanwhile` is called before it starts again.
        """
        process = self._processes[name]
        self._wait_until_it_handles_sigterm(name)
        begun_s = time.monotonic()
        process.terminate()
        assert (exit_code := process.wait(60)) == 0, exit_code
        ended_s = time.monotonic()
        meanwhile()
        self._start(name)
        return ended_s - begun_s

    @contextmanager
    def silent_model(self) -> Iterator[None]:
        """Pause the process that holds the slow model until the block ends."""
        children = psutil.Process(self._processes["slow"].pid).children()
        assert children, "the worker has no model"
        for child in children:
            child.suspend()
        try:
            yield
        finally:
            for child in children:
                child.resume()

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def memory_bytes(self) -> dict[str, int]:
        return {name: psutil.Process(p.pid).memory_full_info().uss for name, p in self._processes.items()}

    def stop(self) -> dict[str, int]:
        """Send SIGTERM to all; return their exit codes."""
        for name in self._processes:
            self._wait_until_it_handles_sigterm(name)
        for process in self._processes.values():
            process.terminate()
        return {name: process.wait(60) for name, process in self._processes.items()}

    def _wait_until_it_handles_sigterm(self, name: str) -> None:
        # One that was started by the last fault may still import its modules on a busy machine.
        process = self._processes[name]
        wait_until(
            lambda: process.poll() is not None or handles_sigterm(process.pid),
            f"{name} handles SIGTERM",
            limit_s=START_S,
        )

    def exit_code(self, name: str) -> int:
        """Wait until one ends by itself; return its exit code."""
        return self._processes[name].wait(60)

    def stop_workers(self) -> None:
        """Stop every worker; the indexer goes on."""
        for name in self.workers:
            self._processes[name].terminate()
        assert {self._processes[name].wait(60) for name in self.workers} == {0}

    def start_workers(self) -> None:
        for name in self.workers:
            self._start(name)

    def kill(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start(self, name: str) -> None:
        log = self._folder / f"{name}.log"
        self._processes[name] = program.start(*self._commands[name], settings=self._settings, log=log)

    def _kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes[name].wait()
        self._start(name)

    def _pause(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        self._processes[name].send_signal(signal.SIGCONT)

    def _kill_model(self, name: str) -> None:
        for child in psutil.Process(self._processes[name].pid).children():
            child.kill()


@contextmanager
def fleet(
    settings: Settings, folder: Path, versions: Sequence[VersionName] = VERSIONS, *, replicas: int = 1
) -> Iterator[Fleet]:
    """Register and bind the models, and start every process; kill those that still run at the end."""
    with house_of(settings) as house:
        house.real.search.create()
        house.register(*[find_card(version, settings.models_dir) for version in versions])
    running = Fleet(settings, folder, versions, replicas=replicas)
    try:
        running.start()
        yield running
    finally:
        running.kill()


def handles_sigterm(pid: int) -> bool:
    """Return whether a process has a handler for SIGTERM, by the mask that Linux shows of it."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def _name(version: VersionName, number: int) -> str:
    """Return the name of a worker: that of the model if it is the first worker of version 1."""
    name = str(version).removesuffix("@1")
    return f"{name}-{number + 1}" if number else name
