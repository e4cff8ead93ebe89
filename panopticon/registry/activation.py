"""Whether a comparison lets a version take over: within which limits it must be, and which it passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from panopticon.cards.archived import ArchivedCard
from panopticon.errors import UsageError
from panopticon.registry.records import ModelEntry, ReportRecord, VersionEntry
from panopticon.registry.transitions import known_version
from panopticon.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a report must come to; a figure that a report does not have is not asked for."""

    min_coverage: float
    """Share of the documents with the former version's part that have the new version's too."""
    min_agreement: float
    """Share of images with the same best tag."""
    min_jaccard: float
    """Mean likeness of the sets of tags."""
    max_ks: float
    """The greatest Kolmogorov–Smirnov statistic of any score."""
    max_waiting: int
    """Messages on the results queue, in both lanes and every state."""
    report_max_age_s: float


def limits_of(settings: Settings, kept_card: bytes | None) -> Limits:
    """The limits of the card, as it was kept of the new version; what it leaves out, the settings say."""
    own = ArchivedCard.parse(kept_card).limits if kept_card is not None else {}
    names = (field.name for field in fields(Limits))
    return Limits(**{name: own.get(name, getattr(settings, name)) for name in names})


def refuse_unfit(entry: ModelEntry, former: int | None, version: int, limits: Limits, *, now_ms: int) -> None:
    """Without a former version there is nothing to compare with, and nothing is asked for.

    Raises: UsageError naming every limit that is passed, unless the latest report of the two is fresh and
    within them.
    """
    if former is None:
        return
    before, after = known_version(entry, former), known_version(entry, version)
    report = report_of(entry, former, version)
    passed = passed_limits(report, limits, former=before, version=after, now_ms=now_ms)
    if passed:
        names = f"{entry.model}@{former} {entry.model}@{version}"
        raise UsageError(
            f"{entry.model}@{version} is not activated: {'; '.join(passed)}. Compare them with "
            f"panopticon models diff {names}, or say --force --reason TEXT"
        )


def report_of(entry: ModelEntry, former: int, version: int) -> ReportRecord | None:
    """The latest of this pair of versions."""
    pair = (former, version)
    return next((kept for kept in entry.reports if (kept.former, kept.version) == pair), None)


def passed_limits(
    report: ReportRecord | None,
    limits: Limits,
    *,
    former: VersionEntry,
    version: VersionEntry,
    now_ms: int,
) -> list[str]:
    """One line for each limit that is passed, and each way in which the report holds no more; empty: all is
    well."""
    if report is None:
        return [f"version {version.version} was never compared with version {former.version}"]
    stale = list(_staleness(report, limits, former=former, version=version, now_ms=now_ms))
    return [*stale, *passed_by(report, limits)]


def passed_by(report: ReportRecord, limits: Limits) -> list[str]:
    """One line for each limit that these figures pass, whatever their age."""
    if report.images == 0:
        return ["no image could be compared"]
    return [*_too_low(report, limits), *_too_high(report, limits)]


def _too_low(report: ReportRecord, limits: Limits) -> Iterator[str]:
    least = {
        "coverage": limits.min_coverage,
        "agreement": limits.min_agreement,
        "jaccard": limits.min_jaccard,
    }
    for name, limit in least.items():
        if (value := report.figures.get(name, limit)) < limit:
            yield f"{name} is {_apart(value, limit)}, at least {limit:,g} is asked for"


def _too_high(report: ReportRecord, limits: Limits) -> Iterator[str]:
    most = {"ks": limits.max_ks, "waiting": limits.max_waiting}
    for name, limit in most.items():
        if (value := report.figures.get(name, limit)) > limit:
            yield f"{name} is {_apart(value, limit)}, at most {limit:,g} is allowed"


def _apart(value: float, limit: float) -> str:
    """With as many digits as tell it from the limit."""
    texts = (f"{value:,.{digits}g}" for digits in range(6, 18))
    return next((text for text in texts if text != f"{limit:,g}"), repr(value))


def _staleness(
    report: ReportRecord, limits: Limits, *, former: VersionEntry, version: VersionEntry, now_ms: int
) -> Iterator[str]:
    sides = (
        (former, report.former_digest, report.former_policy_number),
        (version, report.digest, report.policy_number),
    )
    for entry, digest, policy_number in sides:
        if digest != entry.digest:
            yield f"the report is of another version {entry.version}, of digest {digest}"
        if policy_number != entry.policy_number:
            yield (
                f"the report is by policy {policy_number} of version {entry.version}, which has policy "
                f"{entry.policy_number} now"
            )
    age_s = (now_ms - report.at_ms) / 1000
    if age_s > limits.report_max_age_s:
        yield f"the report is {age_s:,.0f} s old, at most {limits.report_max_age_s:,g} s is allowed"
