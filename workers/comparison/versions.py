"""What two versions of a model say of the same images: read, compared, and kept as a report.

No model runs: all is made from the outputs as stored, by the present policy of each version.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from panopticon.cards.archived import ArchivedCard
from panopticon.cards.cards import canonical_json
from panopticon.chunks import CHUNK, chunks
from panopticon.depths import Depths, total
from panopticon.errors import UsageError
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.policy.policy import PolicyEvaluator
from panopticon.registry import comparison, transitions
from panopticon.registry.activation import Limits, limits_of
from panopticon.registry.records import ModelEntry, ReportRecord, VersionEntry
from panopticon.registry.transitions import Author
from panopticon.results.outputs import CatalogueImage, Output, OutputKey, VersionName
from panopticon.settings import Settings
from workers.registry.compare_and_set import swap_with_retries
from workers.registry.policy_cache import resolve_policy
from workers.registry.records import read_model, read_version

UNKNOWN, DELETED = "not in the catalogue", "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two versions."""

    name: VersionName
    entry: VersionEntry
    evaluator: PolicyEvaluator


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPair:
    """Two versions of one model, and what the new one must come to."""

    task: str
    former: Side
    version: Side
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which images are compared."""

    image_ids: Sequence[str]
    drawn_from: int | None
    """How many IDs a sample was drawn from; None for a list."""
    whole: bool = True
    """Whether those were all of them."""

    @property
    def sha256(self) -> str:
        """Of the IDs, sorted, each ended by a line feed."""
        return hashlib.sha256("".join(f"{one}\n" for one in sorted(self.image_ids)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What could be compared, and why the rest could not."""

    pairs: Sequence[comparison.Pair]
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One comparison: as a record of the registry, and whole, as it is printed."""

    record: ReportRecord
    whole: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """One version as the registry had it at one moment."""

    name: VersionName
    model: ModelEntry
    entry: VersionEntry
    task: str


def find_sides(store: Store, former: VersionName, version: VersionName, settings: Settings) -> VersionPair:
    """Raises: UsageError unless both are registered and of one model; CardError, Unavailable."""
    if former == version:
        raise UsageError(f"{former} and {version} are one version; name two")
    before, after = _known(store, former), _known(store, version)
    if before.task != after.task:
        raise UsageError(
            f"{former} is for {before.task} and {version} for {after.task}; "
            "only versions of one model can be compared"
        )
    if former.model != version.model:
        raise UsageError(f"{former} and {version} are two models; only versions of one can be compared")
    return VersionPair(
        task=before.task,
        former=_side(store, before),
        version=_side(store, after),
        limits=limits_of(settings, store.archive.get(after.entry.card_sha256)),
    )


def read_pairs(
    store: Store,
    sides: VersionPair,
    image_ids: Sequence[str],
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Pairs:
    """Outputs of both versions at the catalogue's revision. Raises: Unavailable."""
    pairs: list[comparison.Pair] = []
    left_out: Counter[str] = Counter()
    for chunk in chunks(image_ids, CHUNK):
        for found in _compared(store, sides, chunk):
            if isinstance(found, comparison.Pair):
                pairs.append(found)
            else:
                left_out[found] += 1
        progress(len(chunk))
    return Pairs(pairs=pairs, left_out=dict(sorted(left_out.items())))


def make_report(
    sides: VersionPair, asked: Selection, found: Pairs, *, search: SearchIndex, broker: Broker, author: Author
) -> Report:
    """Counts in search and on the results queue are of now. Raises: Unavailable."""
    searchable = _searchable(search, sides)
    waiting = broker.results().depth()
    shape = _shape(sides.task, found.pairs)
    figures = {**_coverage(searchable), **shape.pop("figures"), "waiting": total(waiting)}
    whole = {
        "at_ms": author.at_ms,
        "by": author.by,
        "task": sides.task,
        "former": _side_json(sides.former),
        "version": _side_json(sides.version),
        "ids_sha256": asked.sha256,
        "asked": len(asked.image_ids),
        "drawn_from": asked.drawn_from,
        "drawn_from_all": asked.whole,
        "images": len(found.pairs),
        "left_out": dict(found.left_out),
        "figures": figures,
        "searchable": searchable,
        "results_queue": _waiting_json(waiting),
        **shape,
    }
    return Report(record=_record(sides, whole, _archived(whole)), whole=whole)


def keep_report(store: Store, model: str, report: Report, author: Author) -> None:
    """Archives it, then records it; whatever else is changed meanwhile stays. Raises: Unavailable."""
    store.archive.put(_archived(report.whole))
    swap_with_retries(
        lambda: read_model(model, store.registry),
        store.registry.swap,
        lambda entry: transitions.keep_report(entry, report.record, author),
        record=f"the registry entry of {model}",
    )


def _known(store: Store, name: VersionName) -> _Known:
    """The task is its own card's: a model's record holds that of its first version."""
    model, entry = read_version(name, store.registry)
    kept = store.archive.get(entry.card_sha256)
    task = ArchivedCard.parse(kept).task if kept else model.task
    return _Known(name=name, model=model, entry=entry, task=task)


def _side(store: Store, known: _Known) -> Side:
    policy = resolve_policy(known.model, known.entry, store.archive)
    return Side(name=known.name, entry=known.entry, evaluator=policy.evaluator)


def _compared(store: Store, sides: VersionPair, chunk: Sequence[str]) -> Iterator[comparison.Pair | str]:
    """For each ID a pair, or why there is none."""
    rows = store.catalogue.get(chunk)
    before = store.outputs.get(chunk, sides.former.name)
    after = store.outputs.get(chunk, sides.version.name)
    for image_id in chunk:
        row = rows.get(image_id)
        yield UNKNOWN if row is None else _pair(row, sides, before, after)


def _pair(
    row: CatalogueImage,
    sides: VersionPair,
    before: Mapping[OutputKey, Output],
    after: Mapping[OutputKey, Output],
) -> comparison.Pair | str:
    if row.deleted:
        return DELETED
    said: list[Mapping[str, float]] = []
    for side, outputs in ((sides.former, before), (sides.version, after)):
        output = outputs.get(side.name.key(row.image_id, row.revision))
        if output is None:
            return f"no output of {side.name}"
        said.append(comparison.said(side.evaluator.evaluate(output.vector)))
    return comparison.Pair(image_id=row.image_id, before=said[0], after=said[1])


def _searchable(search: SearchIndex, sides: VersionPair) -> dict[str, int]:
    """A part is always of its document's revision, so these are counts at current revisions."""
    former, version = sides.former.name.part, sides.version.name.part
    return {
        "former": search.count([former]),
        "version": search.count([version]),
        "both": search.count([former, version]),
    }


def _coverage(searchable: Mapping[str, int]) -> dict[str, float]:
    """Of nothing all is covered."""
    former = searchable["former"]
    return {"coverage": searchable["both"] / former if former else 1.0}


def _shape(task: str, pairs: Sequence[comparison.Pair]) -> dict[str, Any]:
    """The figures of the task, and what they are made of; without images there are none."""
    nothing: dict[str, Any] = {"figures": {}, "tags": None, "scores": None, "worst": []}
    if not pairs:
        return nothing
    return {**nothing, **(_shape_of_scores(pairs) if task == "scoring" else _shape_of_tags(pairs))}


def _shape_of_tags(pairs: Sequence[comparison.Pair]) -> dict[str, Any]:
    found = comparison.tag_figures(pairs)
    return {
        "figures": {"agreement": found.agreement, "jaccard": found.jaccard},
        "tags": {
            "gained": [asdict(one) for one in found.gained],
            "lost": [asdict(one) for one in found.lost],
        },
        "worst": [asdict(one) for one in comparison.most_different_tags(pairs)],
    }


def _shape_of_scores(pairs: Sequence[comparison.Pair]) -> dict[str, Any]:
    found = comparison.score_figures(pairs)
    return {
        "figures": {"ks": found.ks},
        "scores": {
            "shifts": [asdict(shift) for shift in found.shifts],
            "gained": list(found.gained),
            "lost": list(found.lost),
        },
        "worst": [asdict(one) for one in comparison.most_different_scores(pairs)],
    }


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "name": str(side.name),
        "version": side.name.version,
        "state": side.entry.state.value,
        "digest": side.entry.digest,
        "policy_number": side.entry.policy_number,
    }


def _waiting_json(depths: Depths) -> dict[str, int]:
    return {lane.value: depth.total for lane, depth in depths.items()}


def _record(sides: VersionPair, whole: Mapping[str, Any], archived: bytes) -> ReportRecord:
    return ReportRecord(
        at_ms=whole["at_ms"],
        by=whole["by"],
        former=sides.former.name.version,
        former_digest=sides.former.entry.digest,
        former_policy_number=sides.former.entry.policy_number,
        version=sides.version.name.version,
        digest=sides.version.entry.digest,
        policy_number=sides.version.entry.policy_number,
        ids_sha256=whole["ids_sha256"],
        images=whole["images"],
        figures=whole["figures"],
        report_sha256=hashlib.sha256(archived).hexdigest(),
    )


def _archived(whole: Mapping[str, Any]) -> bytes:
    """Without what was said of any image, for an archive forgets nothing and an image may be erased."""
    worst = [
        {name: value for name, value in one.items() if name not in ("before", "after")}
        for one in whole["worst"]
    ]
    return canonical_json({**whole, "worst": worst}).encode()
