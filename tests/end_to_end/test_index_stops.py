"""However `panopticon index` is ended, no process of it is left, and the next call continues at once."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from PIL import Image

from panopticon.models import parse_version
from panopticon.settings import Settings
from storage.stores import open_store
from tests.end_to_end.command import MODELS
from tests.program import PROGRAM, environ_of
from tests.recoveries import Recorder
from tests.servers.guardian import guarded

LOG_IN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
MARK = "TEST_OF_STOPPING"
"""Environment variable that the processes of one call inherit."""
LIMIT_S = 120.0
PHOTOS = 100
NEXT = "the next panopticon index continues with the rest"
CREDIT = 12
"""Images that a model process may have run when its worker was killed."""
SLOW = parse_version("slow@1")


def wait_until(ready: Callable[[], bool], what: str) -> None:
    until_s = time.monotonic() + LIMIT_S
    while not ready():
        assert time.monotonic() < until_s, what
        time.sleep(0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A running `panopticon index`, and all processes that it has started."""

    process: subprocess.Popen[str]
    mark: str

    def processes(self) -> list[psutil.Process]:
        return [each for each in psutil.process_iter() if _environ(each).get(MARK) == self.mark]

    def runs(self, module: str) -> bool:
        """Return whether a child, or a child of a child, runs this module."""
        return any(module in _words(each)[3:] for each in self.processes())

    def is_gone(self) -> bool:
        self.process.poll()
        return not self.processes()


def _environ(process: psutil.Process) -> dict[str, str]:
    with suppress(psutil.Error):
        return dict(process.environ())
    return {}


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []


class Folder:
    """A folder of photos, a database, and the calls of `panopticon index` on them."""

    def __init__(self, home: Path, *, photos: int) -> None:
        self.settings = Settings(
            database=f"sqlite:///{home / 'house.db'}",
            models_dir=MODELS,
            cache_dir=home / "cache",
            grace_s=60.0,
            lease_s=3600.0,
        )
        self.photos = home / "photos"
        self.photos.mkdir()
        for number in range(photos):
            Image.new("RGB", (20, 20), (number % 256, number // 256, 7)).save(self.photos / f"{number}.png")

    def command(self, model: str) -> list[str]:
        return [*PROGRAM, "index", str(self.photos), "--model", model, "--show", "0"]

    def start(self, model: str = str(SLOW), *before: str) -> Call:
        mark = uuid4().hex
        environ = guarded({**environ_of(self.settings), MARK: mark})
        command = [*before, *self.command(model)]
        process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
        return Call(process=process, mark=mark)

    def stored(self) -> int:
        """Return the number of outputs in the database."""
        store = open_store(self.settings.store_url)
        try:
            counts = store.counts
            assert counts is not None
            return counts.count(SLOW, retired=False).stored
        finally:
            store.close()

    def call_again(self) -> None:
        """Run the command to its end, by which every photo must be stored."""
        environ = guarded(environ_of(self.settings))
        done = subprocess.run(
            self.command(str(SLOW)), env=environ, capture_output=True, text=True, check=False
        )
        assert (done.returncode, self.stored()) == (0, PHOTOS), done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, photos=PHOTOS)


def has_begun(call: Call, folder: Folder) -> bool:
    return call.runs("workers.model_process.main") and folder.stored() > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stop_signal_drains_every_process_and_reports_what_is_done(
    folder: Folder, number: signal.Signals
) -> None:
    call = folder.start()
    wait_until(lambda: has_begun(call, folder), "the first images")
    call.process.send_signal(number)
    _, err = call.process.communicate(timeout=LIMIT_S)
    assert call.process.returncode == 128 + number
    assert call.processes() == []
    (line,) = [line for line in err.splitlines() if "stopped by" in line]
    assert line.startswith(f"stopped by {number.name}: ")
    assert line.endswith(f" of {PHOTOS} outputs were ready; {NEXT}")
    if number is signal.SIGTERM:
        folder.call_again()


def test_a_second_signal_ends_every_process_without_draining(folder: Folder) -> None:
    Image.new("RGB", (20, 20), "red").save(folder.photos / "cue.png")
    call = folder.start("hangs@1")
    wait_until(lambda: call.runs("workers.model_process.main"), "the model process")
    call.process.send_signal(signal.SIGTERM)
    call.process.send_signal(signal.SIGINT)
    call.process.communicate(timeout=LIMIT_S)
    wait_until(call.is_gone, "the end of every process")


def test_kill_9_leaves_no_process_and_the_next_call_waits_for_no_lease(folder: Folder) -> None:
    call = folder.start()
    wait_until(lambda: has_begun(call, folder), "the first images")
    call.process.kill()
    wait_until(call.is_gone, "the end of every process")
    call.process.communicate()
    # Its leases would last for an hour.
    folder.call_again()


def test_kill_9_of_a_worker_ends_its_model_process(folder: Folder) -> None:
    call = folder.start("unfit@1")
    wait_until(lambda: call.runs("worker"), "the worker")
    for worker in call.processes():
        if "worker" in _words(worker):
            worker.kill()
    _, err = call.process.communicate(timeout=LIMIT_S)
    assert "unfit@1 was ended by SIGKILL" in err
    wait_until(call.is_gone, "the end of every process")


def test_a_call_that_was_ended_before_its_photos_were_in_the_catalogue_runs_none_twice(
    folder: Folder,
) -> None:
    call = folder.start("counting@1")
    wait_until(lambda: call.runs("worker"), "the worker")
    call.process.kill()
    wait_until(call.is_gone, "the end of every process")
    call.process.communicate()
    done = folder.start("counting@1")
    done.process.communicate(timeout=LIMIT_S)
    assert (folder.settings.cache_dir / "runs").stat().st_size <= PHOTOS + CREDIT


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a terminal; a test closes the first one."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(theirs)


def test_a_terminal_that_is_closed_ends_every_process(folder: Folder, terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    mark = uuid4().hex
    process = subprocess.Popen(
        # A session whose terminal this is, as a shell's.
        [sys.executable, "-c", LOG_IN, *folder.command(str(SLOW))],
        env=guarded({**environ_of(folder.settings), MARK: mark}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        text=True,
    )
    call = Call(process=process, mark=mark)
    wait_until(lambda: has_begun(call, folder), "the first images")
    os.close(ours)
    assert process.wait(LIMIT_S) == 128 + signal.SIGHUP
    assert call.processes() == []


def test_a_call_under_nohup_outlives_its_terminal(folder: Folder) -> None:
    call = folder.start(str(SLOW), "nohup")
    wait_until(lambda: has_begun(call, folder), "the first images")
    call.process.send_signal(signal.SIGHUP)
    call.process.communicate(timeout=LIMIT_S)
    assert (call.process.returncode, folder.stored()) == (0, PHOTOS)


MOMENTS: dict[str, Callable[[Call, Folder], bool]] = {
    "starting": lambda call, _: bool(call.processes()),
    "first images": has_begun,
    "in the middle": lambda _, folder: folder.stored() >= PHOTOS // 2,
    "draining": has_begun,
    "at the end": lambda call, folder: folder.stored() == PHOTOS,
}
WAYS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL)


@pytest.mark.soak
@pytest.mark.parametrize("number", WAYS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_at_any_moment_no_process_is_left_and_the_next_call_continues(
    folder: Folder, moment: str, number: signal.Signals, recovered: Recorder
) -> None:
    call = folder.start()
    wait_until(lambda: call.process.poll() is not None or MOMENTS[moment](call, folder), moment)
    if moment == "draining":
        call.process.send_signal(signal.SIGTERM)
    call.process.send_signal(number)
    ended_s = time.monotonic()
    wait_until(call.is_gone, "the end of every process")
    recovered(time.monotonic() - ended_s)
    call.process.communicate()
    folder.call_again()
