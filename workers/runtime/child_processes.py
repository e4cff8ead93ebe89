"""The worker and indexer processes that `panopticon index` starts and watches."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from panopticon.errors import PanopticonError
from panopticon.results.outputs import VersionName
from panopticon.settings import PREFIX, Settings
from workers.runtime.end_with_parent import start_child
from workers.runtime.log_events import FORMAT_VARIABLE, JSON, LogEvent, parse_log_event

ERROR_PREFIX = "panopticon: "
"""The beginning of the one line with which a program reports a mistake or an outage, and ends."""
LAST_LINES = 20
"""Lines of its log that the error about an ended child quotes."""


class ProcessEnded(PanopticonError):  # noqa: N818
    """A child process ended although nobody stopped it.

    The message is one line if the child named the cause in its last one, else it quotes the end of its log.
    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        """`exit_code`: that of the child, 1 if a signal ended it."""
        super().__init__(message)
        self.exit_code = exit_code


class ChildProcesses:
    """A worker for each version, and one indexer, with the settings of this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._children: list[_Child] = []

    @contextmanager
    def running(self, versions: Sequence[VersionName]) -> Iterator[None]:
        """Start the processes on entry; on exit, drain and stop them, also after an error."""
        try:
            for version in versions:
                self._start(str(version), ["worker", "--model", str(version)])
            self._start("indexer", ["indexer"])
            yield
        finally:
            self._stop()

    def events(self) -> list[LogEvent]:
        """Return what the children logged since the last call.

        Raises: ProcessEnded if one of them ended.
        """
        events = [event for child in self._children for event in child.read_events()]
        for child in self._children:
            if child.process.poll() is not None:
                # It may have logged its last words between the reading above and its end.
                child.read_events()
                exit_code = child.process.returncode
                raise ProcessEnded(child.last_words, exit_code=exit_code if exit_code > 0 else 1)
        return events

    def _start(self, name: str, arguments: list[str]) -> None:
        environ = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        environ |= {**self._settings.as_environ(), FORMAT_VARIABLE: JSON}
        with tempfile.NamedTemporaryFile(prefix="panopticon-", suffix=".log") as written:
            log = open(written.name, "rb")  # noqa: SIM115
            # No signal of the terminal reaches the child: this process passes it on as SIGTERM, so that it
            # drains.
            process = start_child(
                "workers.cli.main", arguments, env=environ, stdin=subprocess.DEVNULL, stderr=written
            )
        self._children.append(_Child(name=name, process=process, log=log))

    def _stop(self) -> None:
        try:
            for child in self._children:
                if child.process.poll() is None:
                    child.process.send_signal(signal.SIGTERM)
            for child in self._children:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(self._settings.grace_s + 10)
        finally:
            # Those that did not drain in time; after a second signal, all that are left.
            for child in self._children:
                child.process.kill()
                child.process.wait()
                child.log.close()
            self._children.clear()


class _Child:
    """One process and its log, which it writes through a descriptor of its own."""

    def __init__(self, *, name: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.name = name
        self.process = process
        self.log = log
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._unfinished = b""

    @property
    def unfinished_line(self) -> str:
        """The end of the log without a line feed, such as the last words of a native library."""
        return self._unfinished.decode(errors="replace")

    @property
    def last_words(self) -> str:
        """The reason why it ended: its own one line about a mistake or an outage, else the end of its log."""
        lines = [line for line in (*self.last_lines, self.unfinished_line) if line]
        ended = f"{self.name} ended by itself"
        if lines and lines[-1].startswith(ERROR_PREFIX):
            return f"{ended}: {lines[-1].removeprefix(ERROR_PREFIX)}"
        if self.process.returncode < 0:
            ended = f"{self.name} was ended by {signal.Signals(-self.process.returncode).name}"
        return "\n".join([ended, *lines])

    def read_events(self) -> list[LogEvent]:
        """Return the events of the lines that were finished since the last call."""
        *finished, self._unfinished = (self._unfinished + self.log.read()).split(b"\n")
        events: list[LogEvent] = []
        for line in finished:
            text = line.decode(errors="replace")
            event = parse_log_event(text)
            self.last_lines.append(event.message if event else text)
            if event:
                events.append(event)
        return events
