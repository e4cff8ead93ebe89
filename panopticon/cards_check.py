"""Does a model card hold, line by line, on this machine?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from panopticon.cards import CardError, ModelCard
from panopticon.engines import open_engine
from panopticon.engines.agreement import greatest_difference, probes
from panopticon.errors import UsageError
from panopticon.golden import check_golden
from panopticon.interfaces import Engine
from panopticon.models.weights import verified_weights
from panopticon.policy import policy_of
from panopticon.policy_check import check_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """One thing that a card says, and whether it holds."""

    what: str
    ok: bool
    """Also true where it was skipped."""
    detail: str
    skipped: bool = False


def check_card(card: ModelCard, *, cache_dir: Path) -> Iterator[CheckLine]:
    """Labels, policy, weights; then each engine: it loads, agrees with Keras, passes the golden examples.

    Lines come as they are known; the engines take seconds each, and LiteRT exports if its cache is cold.
    """
    yield _line("labels", partial(_labels, card))
    yield _line("policy", partial(_policy, card))
    yield _line("weights", partial(_weights, card))
    reference: Engine | None = None
    for name in sorted(card.engines.allowed, key=lambda name: name != "keras"):
        try:
            engine = open_engine(card, engine=name, cache_dir=cache_dir)
            yield CheckLine(what=f"{name}: loads and runs", ok=True, detail=_runs(card, engine))
        except UsageError as error:
            yield CheckLine(what=f"{name}: loads and runs", ok=False, detail=str(error))
            continue
        if reference is not None:
            yield _line(f"{name}: agrees with {reference.name}", partial(_agreement, card, reference, engine))
        reference = reference or engine
        yield from _golden_lines(card, engine)


def _line(what: str, check: Callable[[], str]) -> CheckLine:
    try:
        return CheckLine(what=what, ok=True, detail=check())
    except UsageError as error:
        return CheckLine(what=what, ok=False, detail=str(error))


def _labels(card: ModelCard) -> str:
    return f"{len(card.labels)} elements"


def _weights(card: ModelCard) -> str:
    return str(verified_weights(card)) if card.weights else "none needed"


def _policy(card: ModelCard) -> str:
    policy = policy_of(card.policy)
    check_policy(policy, task=card.task, labels=card.labels)
    return f"threshold {policy.threshold:g}, top {policy.top_k}"


def _runs(card: ModelCard, engine: Engine) -> str:
    engine.load()
    images = probes(card)
    outputs = engine.run(images)
    expected = (len(images), len(card.labels))
    if outputs.shape != expected:
        raise CardError(f"{len(images)} images give {outputs.shape}, the card says {expected}")
    if not np.isfinite(outputs).all():
        raise CardError("an output is not finite")
    return f"{engine.libraries}: {len(images)} images to {expected[1]} elements"


def _agreement(card: ModelCard, one: Engine, other: Engine) -> str:
    apart = greatest_difference(one, other, probes(card))
    if not apart <= card.engines.tolerance:
        raise CardError(f"they differ by {apart:.3g}, the card allows {card.engines.tolerance:g}")
    return f"within {apart:.1e}, the card allows {card.engines.tolerance:g}"


def _golden_lines(card: ModelCard, engine: Engine) -> Iterator[CheckLine]:
    try:
        results = check_golden(card, engine)
    except CardError as error:
        yield CheckLine(what=f"{engine.name}: golden", ok=False, detail=str(error))
        return
    for result in results:
        what = f"{engine.name}: {result.image}"
        yield CheckLine(what=what, ok=result.ok, detail=result.detail, skipped=result.skipped)
