"""The error tree. Each class answers "what now?"; any other exception is a bug and is loud.

PanopticonError
├── UsageError      a person's mistake: one line, exit code 2
├── Rejected        this image will never pass: keep a Failure, do not retry
├── Transient       this image may pass later: one attempt is spent on a retry delay
└── Unavailable     a component that the settings name is down: park, spend no attempt
"""

from __future__ import annotations


class PanopticonError(Exception):
    """Base of every error this system raises on purpose."""


class UsageError(PanopticonError):
    """Bad input from a person. The message names the thing, the value and the way out, in one line."""


class Rejected(PanopticonError):  # noqa: N818
    """This image will never pass: store a Failure with `reason`, never retry."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Transient(PanopticonError):  # noqa: N818
    """This image may pass later: spend one attempt and retry it after a delay."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unavailable(PanopticonError):  # noqa: N818
    """`component` (store, queue, search, source, model) is down: park, spend no attempt, resume by itself."""

    def __init__(self, component: str, reason: str) -> None:
        super().__init__(f"{component} unavailable: {reason}")
        self.component = component
        self.reason = reason
