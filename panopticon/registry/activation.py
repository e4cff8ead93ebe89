"""Decide by the report of a comparison whether a version may become the active one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from panopticon.cards.archived import ArchivedCard
from panopticon.errors import UsageError
from panopticon.registry.records import ModelEntry, ReportRecord, VersionEntry
from panopticon.registry.transitions import known_version
from panopticon.settings import Settings

CLOCK_SLACK_S = 60.0
"""Seconds by which the clocks of two machines may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The smallest or the largest value that one figure may have."""

    value: float
    is_minimum: bool

    def allows(self, figure: float) -> bool:
        """Return whether the figure is within the bound; the bound itself is allowed."""
        return figure >= self.value if self.is_minimum else figure <= self.value

    @property
    def word(self) -> str:
        """`at least` or `at most`."""
        return "at least" if self.is_minimum else "at most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The values that the figures of a report must keep; a figure that the report lacks is not checked."""

    min_coverage: float
    """Share of the documents with the former version's part that have the new version's too."""
    min_agreement: float
    """Share of images with the same best tag."""
    min_jaccard: float
    """Mean Jaccard similarity of the two sets of tags of an image."""
    max_ks: float
    """The greatest Kolmogorov–Smirnov statistic of any score."""
    max_waiting: int
    """Messages on the results queue, in both lanes and every state."""
    min_images: int
    """Compared images; fewer are enough only if they are all that have both parts in search."""
    report_max_age_s: float

    @property
    def bounds(self) -> Mapping[str, Bound]:
        """The bound of each figure, by the figure's name."""
        return {
            "coverage": Bound(value=self.min_coverage, is_minimum=True),
            "agreement": Bound(value=self.min_agreement, is_minimum=True),
            "jaccard": Bound(value=self.min_jaccard, is_minimum=True),
            "ks": Bound(value=self.max_ks, is_minimum=False),
            "waiting": Bound(value=self.max_waiting, is_minimum=False),
        }


def limits_of(settings: Settings, kept_card: bytes | None) -> Limits:
    """Return the limits of the archived card, with those of the settings where the card has none.

    Without an archived card all limits are those of the settings.
    """
    own = ArchivedCard.parse(kept_card).limits if kept_card is not None else {}
    names = (field.name for field in fields(Limits))
    return Limits(**{name: own.get(name, getattr(settings, name)) for name in names})


def refuse_unfit(entry: ModelEntry, former: int | None, version: int, limits: Limits, *, now_ms: int) -> None:
    """Raise UsageError unless the latest report of the two versions is up to date and within the limits.

    The error names every limit that is exceeded. Without a former version there is nothing to compare with,
    so nothing is required.
    """
    if former is None:
        return
    before, after = known_version(entry, former), known_version(entry, version)
    report = report_of(entry, former, version)
    exceeded = exceeded_limits(report, limits, former=before, version=after, now_ms=now_ms)
    if exceeded:
        names = f"{entry.model}@{former} {entry.model}@{version}"
        raise UsageError(
            f"{entry.model}@{version} is not activated: {'; '.join(exceeded)}. Compare them with "
            f"panopticon models diff {names}, or activate it anyway with --force --reason TEXT"
        )


def report_of(entry: ModelEntry, former: int, version: int) -> ReportRecord | None:
    """Return the latest report of this pair of versions; None if they were never compared."""
    pair = (former, version)
    return next((kept for kept in entry.reports if (kept.former, kept.version) == pair), None)


def exceeded_limits(
    report: ReportRecord | None,
    limits: Limits,
    *,
    former: VersionEntry,
    version: VersionEntry,
    now_ms: int,
) -> list[str]:
    """Return one line for each limit that is exceeded and each reason why the report is out of date.

    Without a report there is one line. An empty list means that the version may be activated.
    """
    if report is None:
        return [f"version {version.version} was never compared with version {former.version}"]
    outdated = list(_outdated(report, limits, former=former, version=version, now_ms=now_ms))
    return [*outdated, *exceeded_by(report, limits)]


def exceeded_by(report: ReportRecord, limits: Limits) -> list[str]:
    """Return one line for each limit that the figures of the report exceed, however old the report is."""
    # Without an image there are no figures, and a figure that is missing exceeds no limit.
    if report.images == 0:
        return ["no image could be compared"]
    lines = []
    # A catalogue of fewer images can never reach the limit, and then all of them are enough.
    required = min(limits.min_images, int(report.figures.get("comparable", limits.min_images)))
    if report.images < required:
        lines.append(f"images is {report.images:,}, at least {required:,} is required")
    for name, bound in limits.bounds.items():
        figure = report.figures.get(name)
        if figure is not None and not bound.allows(figure):
            rule = f"{bound.word} {bound.value:,g} is {'required' if bound.is_minimum else 'allowed'}"
            lines.append(f"{name} is {_distinguished(figure, bound.value)}, {rule}")
    return lines


def _distinguished(figure: float, limit: float) -> str:
    """Format the figure with as many digits as distinguish it from the formatted limit, at least six."""
    texts = (f"{figure:,.{digits}g}" for digits in range(6, 18))
    return next((text for text in texts if text != f"{limit:,g}"), repr(figure))


def _outdated(
    report: ReportRecord, limits: Limits, *, former: VersionEntry, version: VersionEntry, now_ms: int
) -> Iterator[str]:
    compared = (
        (former, report.former_digest, report.former_policy_number),
        (version, report.digest, report.policy_number),
    )
    for entry, digest, policy_number in compared:
        if digest != entry.digest:
            yield f"the report compared another version {entry.version}, with digest {digest}"
        if policy_number != entry.policy_number:
            yield (
                f"the report used policy {policy_number} of version {entry.version}, which has policy "
                f"{entry.policy_number} now"
            )
    age_s = (now_ms - report.at_ms) / 1000
    if age_s > limits.report_max_age_s:
        yield f"the report is {age_s:,.0f} s old, at most {limits.report_max_age_s:,g} s is allowed"
    elif age_s < -CLOCK_SLACK_S:
        yield f"the report is dated {-age_s:,.0f} s ahead: the clock was set back, so its age is unknown"
