"""Figures of how two versions of a model differ on the same images, after each version's policy."""

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
    """The results of two versions for one image.

    For taggers: tag → probability, most probable first. For scoring models: score → value.
    """

    image_id: str
    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagCount:
    """The number of images that gained, or lost, one tag."""

    tag: str
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFigures:
    """The comparison of the tags of at least one image."""

    agreement: float
    """Share of images with the same best tag; two images without tags agree."""
    jaccard: float
    """Mean over images of `jaccard`, 0 to 1."""
    gained: tuple[TagCount, ...]
    """Tags that only the new version gives, those of most images first."""
    lost: tuple[TagCount, ...]
    """Tags that only the former version gives, those of most images first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and percentiles of one score over the images."""

    mean: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreShift:
    """The change of one score from the former version to the new one."""

    score: str
    before: Spread
    after: Spread
    ks: float
    """Kolmogorov–Smirnov statistic: the greatest distance of the two cumulative distributions, 0 to 1."""
    p_value: float
    """Probability of at least this distance between two large samples of one distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFigures:
    """The comparison of the scores of at least one image."""

    ks: float
    """The greatest statistic of any score; 1 if a score is lost, because it cannot be compared."""
    shifts: tuple[ScoreShift, ...]
    """One for each score that both versions give, by name."""
    gained: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One image for which the two versions give different results."""

    image_id: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    jaccard: float | None
    """None for scores."""
    distance: float
    """Tags: the absolute differences of their probabilities, summed. Scores: the greatest shift, in standard
    deviations of that score over both versions."""
    score: str
    """The score with the greatest shift; empty for tags."""


def values_by_name(evaluation: Evaluation) -> dict[str, float]:
    """Return each tag's probability, or each score's value, by name.

    Where the policy gives two tags the same name, the more probable one counts.
    """
    values: dict[str, float] = {}
    for tag in evaluation.tags:
        values.setdefault(tag.label, tag.probability)
    return values | dict(evaluation.scores)


def tag_figures(pairs: Sequence[Pair], *, most_tags: int | None = MOST_TAGS) -> TagFigures:
    """Compare the tags of at least one pair.

    `most_tags` caps the number of tags gained and the number of tags lost; None returns all of them.
    """
    # Tags are in the order of their probability, so the first is the best.
    agree = [next(iter(pair.before), None) == next(iter(pair.after), None) for pair in pairs]
    gained = Counter(tag for pair in pairs for tag in pair.after if tag not in pair.before)
    lost = Counter(tag for pair in pairs for tag in pair.before if tag not in pair.after)
    return TagFigures(
        agreement=float(np.mean(agree)),
        jaccard=float(np.mean([jaccard(pair) for pair in pairs])),
        gained=_most_images_first(gained)[:most_tags],
        lost=_most_images_first(lost)[:most_tags],
    )


def jaccard(pair: Pair) -> float:
    """Return the share, 0 to 1, of an image's tags that both versions give; 1 if neither gives any."""
    either = pair.before.keys() | pair.after.keys()
    return len(pair.before.keys() & pair.after.keys()) / len(either) if either else 1.0


def score_figures(pairs: Sequence[Pair]) -> ScoreFigures:
    """Compare the scores of at least one pair."""
    # A version gives every image the same scores, so the first pair shows their names.
    before, after = pairs[0].before.keys(), pairs[0].after.keys()
    shifts = tuple(_shift(score, *_values(pairs, score)) for score in _common_scores(pairs))
    lost = tuple(sorted(before - after))
    return ScoreFigures(
        ks=1.0 if lost else max(shift.ks for shift in shifts),
        shifts=shifts,
        gained=tuple(sorted(after - before)),
        lost=lost,
    )


def most_different_tags(pairs: Sequence[Pair], *, limit: int = MOST_DIFFERENT) -> list[Difference]:
    """Return the images with the lowest Jaccard first, then by the greatest distance.

    Images with a Jaccard of 1 and no distance do not differ and are left out.
    """
    differences = [
        Difference(
            image_id=pair.image_id,
            before=pair.before,
            after=pair.after,
            jaccard=jaccard(pair),
            distance=_tag_distance(pair),
            score="",
        )
        for pair in pairs
    ]
    differing = [one for one in differences if one.jaccard != 1 or one.distance]
    return sorted(differing, key=lambda one: (one.jaccard, -one.distance, one.image_id))[:limit]


def most_different_scores(pairs: Sequence[Pair], *, limit: int = MOST_DIFFERENT) -> list[Difference]:
    """Return the images with the greatest shift of any score first, in standard deviations of that score."""
    deviations = {score: float(np.std(_values(pairs, score))) for score in _common_scores(pairs)}
    # A score that never varies cannot have shifted, and would be divided by zero.
    varying = {score: deviation for score, deviation in deviations.items() if deviation}
    differing = [one for pair in pairs if (one := _greatest_shift(pair, varying)).distance]
    return sorted(differing, key=lambda one: (-one.distance, one.image_id))[:limit]


def _greatest_shift(pair: Pair, deviations: Mapping[str, float]) -> Difference:
    shifts = [
        (abs(pair.after[score] - pair.before[score]) / deviation, score)
        for score, deviation in deviations.items()
    ]
    distance, score = max(shifts, default=(0.0, ""))
    return Difference(
        image_id=pair.image_id,
        before=pair.before,
        after=pair.after,
        jaccard=None,
        distance=distance,
        score=score,
    )


def _tag_distance(pair: Pair) -> float:
    either = sorted(pair.before.keys() | pair.after.keys())
    return sum(abs(pair.after.get(tag, 0.0) - pair.before.get(tag, 0.0)) for tag in either)


def _most_images_first(counts: Counter[str]) -> tuple[TagCount, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(TagCount(tag=tag, images=images) for tag, images in ordered)


def _common_scores(pairs: Sequence[Pair]) -> list[str]:
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
