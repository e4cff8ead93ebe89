"""The error tree. Each class answers "what now?"; any other exception is a bug and stops the program.

PanopticonError
├── UsageError      a person's mistake: report one line, exit with code 2
│   └── Damaged     a database that only a copy can replace: the same, since waiting repairs nothing
├── Rejected        this image will never succeed: store a Failure, do not retry
├── Transient       this image may succeed later: spend one attempt and retry after a delay
└── Unavailable     a component that the settings name is down: park, spend no attempt
"""

from __future__ import annotations

from textwrap import shorten

MAX_REASON_CHARS = 160


class PanopticonError(Exception):
    """The base class of every error that this system raises on purpose."""


class UsageError(PanopticonError):
    """A person's mistake. The message names the thing, the value and the way out, in one line."""


class Damaged(UsageError):  # noqa: N818
    """A database whose file is damaged. The program ends, since to wait or to write would not repair it."""

    def __init__(self, place: str, reason: str, *, way_out: str = "restore a copy of it") -> None:
        # SQLite quotes what it cannot read, which may be long, and of several lines.
        self.reason = shorten(reason, MAX_REASON_CHARS, placeholder=" …")
        super().__init__(
            f"database {place}: damaged ({self.reason}); {way_out}; panopticon doctor examines it"
        )


class Rejected(PanopticonError):  # noqa: N818
    """An image that will never succeed: store a Failure with `reason`, never retry."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Transient(PanopticonError):  # noqa: N818
    """An image that may succeed later: spend one attempt and retry after a delay."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unavailable(PanopticonError):  # noqa: N818
    """A component that is down: park, spend no attempt, and resume without help once it answers.

    `component` is store, queue, search, source or model.
    """

    def __init__(self, component: str, reason: str) -> None:
        super().__init__(f"{component} unavailable: {reason}")
        self.component = component
        self.reason = reason
