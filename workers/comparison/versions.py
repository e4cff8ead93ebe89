"""Compare the stored outputs of two versions of a model on the same images, and store the report.

No model runs: results are made from the stored outputs, by the present policy of each version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from panopticon.cards.archived import ArchivedCard
from panopticon.chunks import CHUNK, chunks
from panopticon.errors import UsageError
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.registry import comparison, transitions
from panopticon.registry.activation import Limits, limits_of
from panopticon.registry.records import ModelEntry, VersionEntry
from panopticon.registry.transitions import Author
from panopticon.results.outputs import CatalogueImage, Output, OutputKey, VersionName
from panopticon.settings import Settings
from workers.comparison.report import Report, Searchable, Selection, Side
from workers.registry.compare_and_set import swap_with_retries
from workers.registry.policy_cache import resolve_policy
from workers.registry.records import read_model, read_version

UNKNOWN, DELETED = "not in the catalogue", "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPair:
    """Two versions of one model, and the limits for activating the new one in place of the former."""

    task: str
    former: Side
    version: Side
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePairs:
    """The results of both versions for each image that has both."""

    pairs: Sequence[comparison.Pair]
    left_out: Mapping[str, int]
    """Reason → number of images that could not be compared."""


def read_version_pair(
    store: Store, former: VersionName, version: VersionName, settings: Settings
) -> VersionPair:
    """Read both versions with their policies.

    Raises: UsageError unless both are registered, of one model and for one task; CardError; Unavailable.
    """
    if former == version:
        raise UsageError(f"{former} and {version} are one version; name two")
    former_model, former_entry = read_version(former, store.registry)
    model, entry = read_version(version, store.registry)
    former_task, task = _task(store, former_model, former_entry), _task(store, model, entry)
    if former_task != task:
        raise UsageError(
            f"{former} is for {former_task} and {version} for {task}; "
            "only versions of one model can be compared"
        )
    if former.model != version.model:
        raise UsageError(f"{former} and {version} are two models; only versions of one can be compared")
    return VersionPair(
        task=task,
        former=_side(store, former, former_model, former_entry),
        version=_side(store, version, model, entry),
        limits=limits_of(settings, store.archive.get(entry.card_sha256)),
    )


def read_image_pairs(
    store: Store,
    versions: VersionPair,
    image_ids: Sequence[str],
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> ImagePairs:
    """Read the outputs of both versions at the catalogue's revision. Raises: Unavailable."""
    pairs: list[comparison.Pair] = []
    left_out: Counter[str] = Counter()
    for chunk in chunks(image_ids, CHUNK):
        rows = store.catalogue.get(chunk)
        before = store.outputs.get(chunk, versions.former.name)
        after = store.outputs.get(chunk, versions.version.name)
        for image_id in chunk:
            found = _pair(rows.get(image_id), versions, before, after)
            if isinstance(found, comparison.Pair):
                pairs.append(found)
            else:
                left_out[found] += 1
        progress(len(chunk))
    return ImagePairs(pairs=pairs, left_out=dict(sorted(left_out.items())))


def make_report(
    versions: VersionPair,
    selection: Selection,
    found: ImagePairs,
    *,
    search: SearchIndex,
    broker: Broker,
    author: Author,
) -> Report:
    """Compare the pairs, and count now what is in search and on the results queue. Raises: Unavailable."""
    pairs, scoring = found.pairs, versions.task == "scoring"
    most_different = comparison.most_different_scores if scoring else comparison.most_different_tags
    former, version = versions.former.name.part, versions.version.name.part
    return Report(
        author=author,
        task=versions.task,
        former=versions.former,
        version=versions.version,
        selection=selection,
        images=len(pairs),
        left_out=found.left_out,
        # A part always belongs to the revision of its document, so these are counts at current revisions.
        searchable=Searchable(
            former=search.count([former]),
            version=search.count([version]),
            both=search.count([former, version]),
        ),
        results_queue=broker.results().depth(),
        tags=comparison.tag_figures(pairs) if pairs and not scoring else None,
        scores=comparison.score_figures(pairs) if pairs and scoring else None,
        worst=tuple(most_different(pairs)),
    )


def keep_report(store: Store, model: str, report: Report, author: Author) -> None:
    """Archive the report, then record it, and preserve concurrent changes. Raises: Unavailable."""
    store.archive.put(report.archived())
    swap_with_retries(
        lambda: read_model(model, store.registry),
        store.registry.swap,
        lambda entry: transitions.keep_report(entry, report.record, author),
        record=f"the registry entry of {model}",
    )


def _task(store: Store, model: ModelEntry, entry: VersionEntry) -> str:
    """Return the task of the version's own card: the model's entry holds that of its first version."""
    kept = store.archive.get(entry.card_sha256)
    return ArchivedCard.parse(kept).task if kept else model.task


def _side(store: Store, name: VersionName, model: ModelEntry, entry: VersionEntry) -> Side:
    policy = resolve_policy(model, entry, store.archive)
    return Side(name=name, entry=entry, evaluator=policy.evaluator)


def _pair(
    row: CatalogueImage | None,
    versions: VersionPair,
    before: Mapping[OutputKey, Output],
    after: Mapping[OutputKey, Output],
) -> comparison.Pair | str:
    """Return the results of both versions for one image, or the reason why it cannot be compared."""
    if row is None:
        return UNKNOWN
    if row.deleted:
        return DELETED
    values: list[Mapping[str, float]] = []
    for side, outputs in ((versions.former, before), (versions.version, after)):
        name = side.name
        output = outputs.get(name.key(row.image_id, row.revision))
        if output is None:
            return f"no output of {name}"
        values.append(comparison.values_by_name(side.evaluator.evaluate(output.vector)))
    return comparison.Pair(image_id=row.image_id, before=values[0], after=values[1])
