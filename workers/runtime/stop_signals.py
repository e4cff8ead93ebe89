"""Signals that ask a program to stop: SIGTERM, SIGINT (Ctrl-C) and SIGHUP."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP comes when the terminal is closed. `nohup` makes a program ignore it, and it is ignored then."""


class Interrupted(KeyboardInterrupt):
    """A stop signal arrived; raised in the main thread, so that a command cleans up as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def name(self) -> str:
        """Return the name of the signal, such as `SIGTERM`."""
        return signal.Signals(self.number).name

    @property
    def exit_code(self) -> int:
        """Return what a shell reports about a program that this signal ended."""
        return 128 + self.number


def interrupt_on_stop() -> None:
    """Raise `Interrupted` at each stop signal from now on, also during the cleaning up after the first one.

    Only the main thread may call it.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        _ignore_more_hangups()
        raise Interrupted(number)

    for each in _stop_signals():
        signal.signal(each, interrupt)


@contextmanager
def quiet_interrupts() -> Iterator[None]:
    """End the process with 130 at Ctrl-C within the block, in which modules are imported.

    An import that is interrupted would show a traceback, or fail as if a module were broken.
    """
    # Only the main thread may set handlers; one that is not Python's own has another meaning already.
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _frame: os._exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Stopping:
    """Return True from the first stop signal on. A second one ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        return self._event.is_set()

    def listen(self) -> None:
        """Install the signal handlers. Only the main thread may call it."""
        for number in _stop_signals():
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _ignore_more_hangups()
        self._event.set()


def _stop_signals() -> list[signal.Signals]:
    return [
        number
        for number in STOP_SIGNALS
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]


def _ignore_more_hangups() -> None:
    """Ignore SIGHUP, and let what is written to a closed terminal vanish.

    Shell and kernel may both send SIGHUP, so that a second one does not mean that a person is impatient.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for stream, descriptor in ((sys.__stdout__, 1), (sys.__stderr__, 2)):
        if stream is None:
            # It was closed at the start, so the number may be that of another file.
            continue
        try:
            os.write(descriptor, b"")
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), descriptor)
