"""How two versions differ on the same images, by what each says of them after its policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from panopticon.policy.policy import Evaluation

MOST_TAGS = 10
MOST_DIFFERENT = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What two versions say of one image: tag → probability, most probable first, or score → value."""

    image_id: str
    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagCount:
    """Of how many images a tag was gained, or lost."""

    tag: str
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFigures:
    """All that is said of the tags of at least one image."""

    agreement: float
    """Share of images with the same best tag; having none is the same as having none."""
    jaccard: float
    """Mean, over images, of the tags that both say among those that either says; 1 where neither says any."""
    gained: tuple[TagCount, ...]
    lost: tuple[TagCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One score over the images."""

    mean: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreShift:
    """How one score moved."""

    score: str
    before: Spread
    after: Spread
    ks: float
    """Kolmogorov–Smirnov: the greatest distance between the two cumulative distributions, 0 to 1."""
    p_value: float
    """How likely so great a distance is among two large samples of one distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFigures:
    """All that is said of the scores of at least one image."""

    ks: float
    """The greatest of any score; 1 if a score is lost, of which nothing can be said."""
    shifts: tuple[ScoreShift, ...]
    """Of the scores that both versions give, by name."""
    gained: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One image of which the two say different things."""

    image_id: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    jaccard: float | None
    """None for scores."""
    distance: float
    """Tags: the differences of their probabilities, summed. Scores: the greatest shift, in standard
    deviations of that score over both versions."""
    score: str
    """Which score that is; empty for tags."""


def said(evaluation: Evaluation) -> dict[str, float]:
    """One name → its number. Of two tags that policy gives one name, the more probable counts."""
    numbers: dict[str, float] = {}
    for tag in evaluation.tags:
        numbers.setdefault(tag.label, tag.probability)
    return numbers | dict(evaluation.scores)


def tag_figures(pairs: Sequence[Pair]) -> TagFigures:
    """Of at least one pair."""
    return TagFigures(
        agreement=float(np.mean([_best(pair.before) == _best(pair.after) for pair in pairs])),
        jaccard=float(np.mean([jaccard(pair) for pair in pairs])),
        gained=_most(Counter(tag for pair in pairs for tag in pair.after if tag not in pair.before)),
        lost=_most(Counter(tag for pair in pairs for tag in pair.before if tag not in pair.after)),
    )


def jaccard(pair: Pair) -> float:
    """Of the two sets of tags, 0 to 1."""
    either = pair.before.keys() | pair.after.keys()
    return len(pair.before.keys() & pair.after.keys()) / len(either) if either else 1.0


def score_figures(pairs: Sequence[Pair]) -> ScoreFigures:
    """Of at least one pair."""
    before, after = pairs[0].before.keys(), pairs[0].after.keys()
    shifts = tuple(_shift(score, *_values(pairs, score)) for score in _common(pairs))
    lost = tuple(sorted(before - after))
    return ScoreFigures(
        ks=1.0 if lost else max(shift.ks for shift in shifts),
        shifts=shifts,
        gained=tuple(sorted(after - before)),
        lost=lost,
    )


def most_different_tags(pairs: Sequence[Pair], *, limit: int = MOST_DIFFERENT) -> list[Difference]:
    """Lowest Jaccard first, then the greatest distance; images that are equal in both are none."""
    differences = [_difference(pair, jaccard=jaccard(pair), distance=_distance(pair)) for pair in pairs]
    differing = [one for one in differences if one.jaccard != 1 or one.distance]
    return sorted(differing, key=lambda one: (one.jaccard, -one.distance, one.image_id))[:limit]


def most_different_scores(pairs: Sequence[Pair], *, limit: int = MOST_DIFFERENT) -> list[Difference]:
    """The greatest shift of any score first, each measured by how far that score varies anyhow."""
    spread = {score: float(np.std(_values(pairs, score))) for score in _common(pairs)}
    varying = {score: deviation for score, deviation in spread.items() if deviation}
    differing = [one for pair in pairs if (one := _greatest_shift(pair, varying)).distance]
    return sorted(differing, key=lambda one: (-one.distance, one.image_id))[:limit]


def _difference(pair: Pair, *, distance: float, jaccard: float | None = None, score: str = "") -> Difference:
    return Difference(
        image_id=pair.image_id,
        before=pair.before,
        after=pair.after,
        distance=distance,
        jaccard=jaccard,
        score=score,
    )


def _greatest_shift(pair: Pair, spread: Mapping[str, float]) -> Difference:
    shifts = [(abs(pair.after[score] - pair.before[score]) / spread[score], score) for score in spread]
    distance, score = max(shifts, default=(0.0, ""))
    return _difference(pair, distance=distance, score=score)


def _best(tags: Mapping[str, float]) -> str | None:
    return next(iter(tags), None)


def _distance(pair: Pair) -> float:
    either = sorted(pair.before.keys() | pair.after.keys())
    return sum(abs(pair.after.get(tag, 0.0) - pair.before.get(tag, 0.0)) for tag in either)


def _most(counts: Counter[str]) -> tuple[TagCount, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(TagCount(tag=tag, images=images) for tag, images in ordered[:MOST_TAGS])


def _common(pairs: Sequence[Pair]) -> list[str]:
    return sorted(pairs[0].before.keys() & pairs[0].after.keys()) if pairs else []


def _values(pairs: Sequence[Pair], score: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([pair.before[score] for pair in pairs]), np.array([pair.after[score] for pair in pairs])


def _shift(score: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> ScoreShift:
    # "auto" also counts hundreds exactly, and warns where that overflows; "asymp" divides by 0 for one image.
    found = ks_2samp(before, after, method="asymp" if len(before) > 1 else "exact")
    return ScoreShift(
        score=score,
        before=_spread(before),
        after=_spread(after),
        ks=float(found.statistic),
        p_value=float(found.pvalue),
    )


def _spread(values: NDArray[np.float64]) -> Spread:
    p50, p95 = np.percentile(values, [50, 95])
    return Spread(mean=float(np.mean(values)), p50=float(p50), p95=float(p95))
