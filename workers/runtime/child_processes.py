"""The worker and indexer processes that `panopticon index` runs beside itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from panopticon.errors import PanopticonError
from panopticon.results.outputs import VersionName
from panopticon.settings import PREFIX, Settings


class ProcessEnded(PanopticonError):  # noqa: N818
    """One of our processes ended by itself, with what it said last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    name: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    """Read from here, written by the process through a descriptor of its own."""


class EmbeddedProcesses:
    """A worker for each version, and one indexer, with the settings of this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._children: list[_Child] = []

    @contextmanager
    def running(self, versions: Sequence[VersionName]) -> Iterator[None]:
        """Started on entry; drained and gone on exit, whatever happens inside."""
        try:
            for version in versions:
                self._start(str(version), ["worker", "--model", str(version)])
            self._start("indexer", ["indexer"])
            yield
        finally:
            self._stop()

    def news(self) -> list[str]:
        """Lines worth a person's eyes since the last call: what is parked, and what is wrong.

        Raises: ProcessEnded if one of them is gone.
        """
        lines = [line for child in self._children for line in _new_lines(child)]
        for child in self._children:
            if child.process.poll() is not None:
                raise ProcessEnded("\n".join([f"{child.name} ended by itself", *lines[-20:]]))
        return [line for line in lines if " WARNING " in line or " ERROR " in line]

    def _start(self, name: str, arguments: list[str]) -> None:
        command = [sys.executable, "-m", "workers.cli.main", *arguments]
        with tempfile.NamedTemporaryFile(prefix="panopticon-", suffix=".log") as written:
            log = open(written.name, "rb")  # noqa: SIM115
            # A process group of its own: Ctrl-C is ours to pass on, so that they drain.
            process = subprocess.Popen(
                command,
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stderr=written,
                start_new_session=True,
            )
        self._children.append(_Child(name=name, process=process, log=log))

    def _environ(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        package_root = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
        return {**kept, **self._settings.as_environ(), "PYTHONPATH": path}

    def _stop(self) -> None:
        for child in self._children:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        for child in self._children:
            _wait(child.process, timeout_s=self._settings.grace_s + 10)
            child.log.close()
        self._children.clear()


def _new_lines(child: _Child) -> list[str]:
    return child.log.read().decode(errors="replace").splitlines()


def _wait(process: subprocess.Popen[bytes], *, timeout_s: float) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
