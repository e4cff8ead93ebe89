"""A server process and all that it started: its readiness, CPU, memory, sockets and end."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

from benchmarks.http.requests import Target

START_S = 60.0
STOP_S = 10.0
T = TypeVar("T")
_PR_SET_CHILD_SUBREAPER = 36
_LOOPBACK = ("127.", "::1", "::ffff:127.")
_POST = """
import sys, urllib.request
url, content_type, file = sys.argv[1:]
request = urllib.request.Request(url, open(file, "rb").read(), {"Content-Type": content_type})
sys.stdout.buffer.write(urllib.request.urlopen(request, timeout=20).read())
"""


class ServerError(Exception):
    """Raised for a server that cannot take part, with the reason."""


def adopt_orphans() -> None:
    """Become the parent of processes whose parent ends, so that no daemon of a server is lost from sight."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_all() -> None:
    """End every process that this one started, directly or not, and wait for their end."""
    everything = psutil.Process().children(recursive=True)
    for process in everything:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(everything, timeout=STOP_S)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """One running server."""

    def __init__(
        self, command: Sequence[str], *, environ: Mapping[str, str], log: Path, cwd: Path, own_network: bool
    ) -> None:
        """`own_network`: with a network of its own, which has nothing but a loopback interface."""
        self._command = command
        self._environ = environ
        self._log = log
        self._cwd = cwd
        self._own_network = own_network

    def start(self) -> None:
        inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*(inside if self._own_network else []), *self._command],
                env=self._environ,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._root = psutil.Process(self._process.pid)

    @property
    def prefix(self) -> list[str]:
        """The words before a command that is to reach this server."""
        return ["nsenter", f"--target={self._process.pid}", "--net", "--"] if self._own_network else []

    def wait_for_port(self) -> int:
        """Wait until the log names the port that it serves on. Raises: ServerError."""
        return int(self._wait_for(lambda: re.search(r"serving on http://127\.0\.0\.1:(\d+)", self.log()))[1])

    def wait_for_answer(self, target: Target, picture: bytes, file: Path) -> bytes:
        """Wait until the server answers a picture with 200, and return its answer. Raises: ServerError."""
        file.write_bytes(target.body(picture))
        # A process of its own, since the server may be in another network.
        command = [*self.prefix, sys.executable, "-c", _POST, target.url, target.content_type, str(file)]

        def answer() -> bytes | None:
            done = subprocess.run(command, capture_output=True, check=False)
            return done.stdout if done.returncode == 0 else None

        return self._wait_for(answer)

    def refuse_wide_binding(self) -> None:
        """Raise ServerError if any process of the server listens beyond loopback."""
        if self._own_network:
            return
        wide = set()
        for process in self.tree():
            with suppress(psutil.Error):
                wide |= {
                    f"{connection.laddr.ip}:{connection.laddr.port} ({process.name()})"
                    for connection in process.net_connections(kind="inet")
                    if connection.status == psutil.CONN_LISTEN
                    and not connection.laddr.ip.startswith(_LOOPBACK)
                }
        if wide:
            raise ServerError(f"it listens beyond loopback, on {', '.join(sorted(wide))}")

    def tree(self) -> list[psutil.Process]:
        """Return the server and its descendants, with those that this process adopted."""
        with suppress(psutil.NoSuchProcess):
            adopted = [child for child in psutil.Process().children() if child.pid != self._process.pid]
            roots = [self._root, *adopted]
            return [process for root in roots for process in (root, *_descendants(root))]
        return []

    def cpu_s(self) -> float:
        """Return the CPU seconds of all processes of the server so far."""
        total = 0.0
        for process in self.tree():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory_mb(self) -> float:
        """Return the memory of all processes, shared pages counted once."""
        total = 0.0
        for process in self.tree():
            with suppress(psutil.Error):
                total += process.memory_full_info().pss / 1e6
        return total

    def stop(self) -> None:
        """End the server, politely at first, and everything that it started."""
        tree = self.tree()
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        for process in tree:
            with suppress(psutil.Error):
                process.kill()
        self._process.wait()
        psutil.wait_procs(tree, timeout=STOP_S)

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def _wait_for(self, condition: Callable[[], T | None]) -> T:
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            found = condition()
            if found is not None:
                return found
            if self._process.poll() is not None:
                raise ServerError(f"it ended with {self._process.returncode}: {self._last_line()}")
            time.sleep(0.1)
        raise ServerError(f"it was not ready within {START_S:g} s: {self._last_line()}")

    def _last_line(self) -> str:
        return (self.log().strip() or "it said nothing").splitlines()[-1]


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def clean_environ(**more: str) -> dict[str, str]:
    """Return this process's environment without settings of Panopticon."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PANOPTICON_")}
    return {**kept, **more}
