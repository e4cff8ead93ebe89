"""The outcomes of a delivery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from panopticon.interfaces import Delivery
from panopticon.messages import ImageMessage
from panopticon.metrics import Metrics
from panopticon.results.outputs import Failure, Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The image has an output: a new one, or (`already`) one that an earlier delivery stored."""

    delivery: Delivery
    message: ImageMessage
    output: Output
    already: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """The image will have no output."""

    delivery: Delivery
    message: ImageMessage
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """The message comes again after a delay."""

    delivery: Delivery
    message: ImageMessage
    delay_s: float
    reason: str
    detail: str = ""
    spend_attempt: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """The image is deleted, and there is nothing to do for this model."""

    delivery: Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """The body is not a message."""

    delivery: Delivery
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """The message was not worked on; it is ready again at once and spends no attempt."""

    delivery: Delivery


Outcome = Stored | Dead | Retried | Skipped | Unreadable | Requeued


def count_outcomes(outcomes: Sequence[Outcome], metrics: Metrics, *, model: str) -> None:
    """Add settled outcomes to the metrics; `model` is written `tagger@1`."""
    stored = Counter(o.delivery.lane.value for o in outcomes if isinstance(o, Stored) and not o.already)
    dead = Counter(o.failure.reason for o in outcomes if isinstance(o, Dead))
    retried = Counter(o.reason for o in outcomes if isinstance(o, Retried))
    for lane, images in stored.items():
        metrics.count("panopticon_images_stored_total", images, model=model, lane=lane)
    for reason, images in dead.items():
        metrics.count("panopticon_images_dead_total", images, model=model, reason=reason)
    for reason, images in retried.items():
        metrics.count("panopticon_images_retried_total", images, model=model, reason=reason)
    if republished := sum(isinstance(o, Stored) and o.already for o in outcomes):
        metrics.count("panopticon_images_republished_total", republished, model=model)
