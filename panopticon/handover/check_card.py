"""Check a model card on this machine, line by line.

The lines are those of the table in `docs/model-handover.md`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import CardError, ModelCard
from panopticon.engines import open_engine
from panopticon.engines.agreement import greatest_difference, probes
from panopticon.errors import UsageError
from panopticon.images.plugin import try_plugin
from panopticon.interfaces import Engine
from panopticon.models.golden import check_golden
from panopticon.models.weights import verified_weights
from panopticon.policy.policy import policy_of
from panopticon.policy.policy_check import check_policy

_TIMED_RUNS = 8
PLACEHOLDER = "FILL IN"
"""Marks every line of a new card that has to be written by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """The result of one check of a card."""

    what: str
    """Name of the check."""
    ok: bool
    """True also if the check was skipped."""
    detail: str
    skipped: bool = False


def check_card(
    card: ModelCard, *, cache_dir: Path, clock: Callable[[], float] = time.perf_counter
) -> Iterator[CheckLine]:
    """Yield the result of each check as soon as it is known: first the card and its files, then each engine.

    An engine has to load and run, to agree with the first engine that loaded (Keras, where the card allows
    it), and to pass the golden examples. Each engine takes seconds, and LiteRT exports the model if its cache
    is cold. `clock` gives seconds, for measuring the rate.
    """
    for what, check in _CARD_CHECKS:
        yield _line(what, partial(check, card))
    reference: Engine | None = None
    for name in sorted(card.engines.allowed, key=lambda name: name != "keras"):
        try:
            engine = open_engine(card, engine=name, cache_dir=cache_dir)
            yield CheckLine(what=f"{name}: loads and runs", ok=True, detail=_runs(card, engine, clock))
        except UsageError as error:
            yield CheckLine(what=f"{name}: loads and runs", ok=False, detail=str(error))
            continue
        if reference is not None:
            yield _line(f"{name}: agrees with {reference.name}", partial(_agreement, card, reference, engine))
        reference = reference or engine
        yield from _golden_lines(card, engine)


def _line(what: str, check: Callable[[], str]) -> CheckLine:
    """Return the detail of a check, or the message of the UsageError with which it failed."""
    try:
        return CheckLine(what=what, ok=True, detail=check())
    except UsageError as error:
        return CheckLine(what=what, ok=False, detail=str(error))


def _filled_in(card: ModelCard) -> str:
    files = [card.folder / "card.toml"]
    if card.output.labels:
        files.append(card.folder / card.output.labels)
    left = []
    for file in files:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CardError(f"{file}: {error}") from None
        left += [
            f"{file}, line {n}: {line.strip()}" for n, line in enumerate(lines, 1) if PLACEHOLDER in line
        ]
    if left:
        more = f" (and {len(left) - 1} more)" if left[1:] else ""
        raise CardError(left[0] + more)
    return f"nothing is left to fill in in {' and '.join(file.name for file in files)}"


def _changes(card: ModelCard) -> str:
    return _written("changes", card.changes, "what changed since the previous version")


def _unsuitable(card: ModelCard) -> str:
    return _written("unsuitable", card.unsuitable, "the images that it is not for, and what it cannot see")


def _written(key: str, text: str, what: str) -> str:
    """Return the text on one line. Raises: CardError if it is still to be written."""
    if not text.strip() or PLACEHOLDER in text:
        raise CardError(f"{key}: describe {what}")
    return " ".join(text.split())


def _needs(card: ModelCard) -> str:
    needs = card.needs
    if not (needs.memory_mb and needs.images_per_s) or needs.hardware.strip() in ("", PLACEHOLDER):
        raise CardError("needs: give memory_mb, hardware, and images_per_s as measured on that hardware")
    return f"{needs.memory_mb:,} MB; {needs.images_per_s:g} images/s on {needs.hardware}"


def _licence(card: ModelCard) -> str:
    if card.weights is None:
        return "no weights"
    return _written("weights.licence", card.weights.licence, "the licence of the weights")


def _preprocessing(card: ModelCard) -> str:
    preprocessing = card.preprocessing
    if plugin := preprocessing.custom:
        try_plugin(plugin, input=card.input, preprocessing=preprocessing)
    return preprocessing.description


def _golden_examples(card: ModelCard) -> str:
    if all(":" in golden.image for golden in card.golden):
        raise CardError("golden: add an image in the folder of the card, with its expected answer")
    for golden in card.golden:
        if not golden.expected:
            raise CardError(f"golden: {golden.image}: give its expected answer")
    return f"{len(card.golden)} with an expected answer"


def _labels(card: ModelCard) -> str:
    return f"{len(card.labels)} elements"


def _weights(card: ModelCard) -> str:
    return str(verified_weights(card)) if card.weights else "none needed"


def _limits(card: ModelCard) -> str:
    # Their values were checked when the card was read.
    own = [f"{name} {limit:g}" for name, limit in card.limits if limit is not None]
    return ", ".join(own) or "those of the settings"


def _policy(card: ModelCard) -> str:
    policy = policy_of(card.policy)
    check_policy(policy, task=card.task, labels=card.labels)
    return f"threshold {policy.threshold:g}, top {policy.top_k}"


_CARD_CHECKS: tuple[tuple[str, Callable[[ModelCard], str]], ...] = (
    ("filled in", _filled_in),
    ("changes", _changes),
    ("unsuitable", _unsuitable),
    ("needs", _needs),
    ("labels", _labels),
    ("limits", _limits),
    ("policy", _policy),
    ("weights", _weights),
    ("licence", _licence),
    ("preprocessing", _preprocessing),
    ("golden examples", _golden_examples),
)


def _runs(card: ModelCard, engine: Engine, clock: Callable[[], float]) -> str:
    engine.load()
    images = probes(card)
    outputs = engine.run(images)
    expected = (len(images), len(card.labels))
    if outputs.shape != expected:
        raise CardError(f"{len(images)} images give {outputs.shape}, the card requires {expected}")
    if not np.isfinite(outputs).all():
        raise CardError("an output is not finite")
    rate_per_s = _rate_per_s(engine, images, clock)
    return (
        f"{engine.libraries}: {len(images)} images to {expected[1]} elements, {rate_per_s:.3g} images/s here"
    )


def _rate_per_s(engine: Engine, images: NDArray[np.uint8], clock: Callable[[], float]) -> float:
    """Return the rate of the warm engine alone, in images per second, with batches of its best size."""
    batch = np.resize(images, (engine.best_batch, *images.shape[1:]))
    engine.run(batch)
    begun_s = clock()
    for _ in range(_TIMED_RUNS):
        engine.run(batch)
    return _TIMED_RUNS * len(batch) / max(clock() - begun_s, 1e-9)


def _agreement(card: ModelCard, one: Engine, other: Engine) -> str:
    difference = greatest_difference(one, other, probes(card))
    # Written so that a difference that is not a number fails too.
    if not difference <= card.engines.tolerance:
        raise CardError(f"they differ by {difference:.3g}, the card allows {card.engines.tolerance:g}")
    return f"within {difference:.1e}, the card allows {card.engines.tolerance:g}"


def _golden_lines(card: ModelCard, engine: Engine) -> Iterator[CheckLine]:
    try:
        results = check_golden(card, engine)
    except CardError as error:
        yield CheckLine(what=f"{engine.name}: golden", ok=False, detail=str(error))
        return
    for result in results:
        what = f"{engine.name}: {result.image}"
        yield CheckLine(what=what, ok=result.ok, detail=result.detail, skipped=result.skipped)
