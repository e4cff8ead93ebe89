"""What became of each delivery, and the one order in which that is made permanent."""

from __future__ import annotations

from dataclasses import dataclass

from panopticon.interfaces import Delivery
from panopticon.messages import ImageMessage
from panopticon.results.outputs import Failure, Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """There is an output: new, or `already` in the store from an earlier handing-over."""

    delivery: Delivery
    message: ImageMessage
    output: Output
    already: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """There will be no output."""

    delivery: Delivery
    message: ImageMessage
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """It comes again later."""

    delivery: Delivery
    delay_s: float
    reason: str
    spend_attempt: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Nothing to do for this model: the image is gone."""

    delivery: Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """The body is no message."""

    delivery: Delivery
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """Not worked on after all; no attempt is spent."""

    delivery: Delivery


Outcome = Stored | Dead | Retried | Skipped | Unreadable | Requeued
