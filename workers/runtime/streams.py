"""The standard streams, as a shell may connect them: closed, to a full disk, to nobody, or for ASCII only.

All that a command prints goes through `sys.stdout` and `sys.stderr`, which `standard_streams` replaces. A
result that cannot be written ends the command; progress and warnings that cannot be written are lost.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from panopticon.errors import PanopticonError, UsageError

STDIN, STDOUT, STDERR = 0, 1, 2


class OutputFailed(UsageError):  # noqa: N818
    """Standard output cannot be written."""


class ReaderGone(PanopticonError):  # noqa: N818
    """Nobody reads standard output any more, as after `| head`."""


@contextmanager
def standard_streams() -> Iterator[None]:
    """Replace the streams for the block. A stream in memory, as in a test, stays as it is.

    Writing to `sys.stdout` then raises OutputFailed or ReaderGone, once: what follows is dropped.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    closed = _open_closed_descriptors()
    if before[0] is None:
        sys.stdin = open(STDIN, closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stdout = _replaced(before[1], STDOUT, _Output, is_closed=STDOUT in closed)
    sys.stderr = _replaced(before[2], STDERR, _Messages, is_closed=False)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OutputFailed, ReaderGone, ValueError):
                stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def write_data(text: str) -> None:
    """Write text that programs read, in UTF-8, whatever the terminal can show."""
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(text)
    else:
        binary.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def shows(text: str) -> bool:
    """Return whether standard output has each character of the text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class _Output(io.FileIO):
    """Standard output: the first error ends the command."""

    def __init__(self, descriptor: int, *, is_closed: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._is_closed = is_closed
        self._has_failed = False

    def write(self, data: Any, /) -> int:
        if self._has_failed:
            return len(memoryview(data))
        try:
            if self._is_closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return super().write(data)
        except BrokenPipeError:
            self._has_failed = True
            raise ReaderGone("nobody reads standard output") from None
        except OSError as error:
            self._has_failed = True
            raise OutputFailed(f"standard output: {error.strerror}; send it elsewhere") from None


class _Messages(io.FileIO):
    """Standard error: there is no place left to report that it cannot be written."""

    def __init__(self, descriptor: int, *, is_closed: bool) -> None:  # noqa: ARG002
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def _replaced(
    stream: TextIO | None, descriptor: int, kind: type[_Output | _Messages], *, is_closed: bool
) -> TextIO:
    if stream is not None:
        try:
            descriptor = stream.fileno()
        # A stream in memory.
        except (OSError, ValueError):
            return stream
        with suppress(OSError):
            stream.flush()
    raw = kind(descriptor, is_closed=is_closed)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=(stream.encoding if stream else None) or "utf-8",
        # A terminal for ASCII only shows an escape, and the command goes on.
        errors="backslashreplace",
        line_buffering=descriptor == STDERR or kind is _Messages or raw.isatty(),
    )


def _open_closed_descriptors() -> set[int]:
    """Open `/dev/null` in place of each closed standard stream, and return which they were.

    Otherwise the next file that is opened would have its number, and receive what a library prints.
    """
    closed = set()
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            closed.add(descriptor)
            # The lowest number that is free is taken.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    return closed
