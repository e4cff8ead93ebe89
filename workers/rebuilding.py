"""Search documents made anew from what the store holds, by ID."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from panopticon.cards import CardError, ModelCard
from panopticon.documents import Change, ChangeKind, Part
from panopticon.errors import UsageError
from panopticon.interfaces import Applied, SearchRebuild, Store
from panopticon.models import find_card
from panopticon.outputs import CatalogueImage, Output, VersionName
from panopticon.registry import VersionEntry, VersionState
from workers.outcomes import Ruling
from workers.standing import registered
from workers.submission import CHUNK, chunks
from workers.worker import ruling_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What came of it."""

    images: int
    changes: int
    """Made of outputs, failures and deletes."""
    unknown: tuple[str, ...]
    """The store holds nothing under these IDs."""
    refused: tuple[str, ...]
    """The index refused something of these images."""


def rulings(store: Store, models_dir: Path | None) -> dict[VersionName, Ruling | None]:
    """How each registered version's outputs become parts; None for retired ones, which have none any more.

    Raises: UsageError where a card is missing, or is another than the one registered.
    """
    return {
        name: None
        if entry.state is VersionState.RETIRED
        else ruling_of(_card(name, entry, models_dir), entry)
        for name, entry in registered(store)
    }


class Rebuilder:
    """Works chunk by chunk; repeating is harmless."""

    def __init__(self, *, store: Store, rulings: Mapping[VersionName, Ruling | None]) -> None:
        self._store = store
        self._rulings = rulings

    def fill(
        self,
        rebuild: SearchRebuild,
        image_ids: Sequence[str],
        *,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Rebuilt:
        """Give `rebuild` all that is known of these images; `progress` hears how many more are through.

        Raises: Unavailable; then the same call may be repeated.
        """
        count, unknown, refused = 0, [], set()
        for chunk in chunks(image_ids, CHUNK):
            rows = self._store.catalogue.get(chunk)
            changes = list(self._changes(chunk, rows))
            count += len(changes)
            answers = zip(changes, rebuild.apply(changes), strict=True)
            refused |= {change.image_id for change, answer in answers if answer is Applied.REFUSED}
            known = rows.keys() | {change.image_id for change in changes}
            unknown += [image_id for image_id in chunk if image_id not in known]
            progress(len(chunk))
        return Rebuilt(
            images=len(image_ids), changes=count, unknown=tuple(unknown), refused=tuple(sorted(refused))
        )

    def _changes(self, image_ids: Sequence[str], rows: Mapping[str, CatalogueImage]) -> Iterator[Change]:
        """Every step that these images' documents have taken; the merge rule asks for no order."""
        for version, ruling in self._rulings.items():
            for output in self._store.outputs.get(image_ids, version).values():
                yield _result(output, version, ruling, rows)
        for failure in self._store.outputs.failures_of(image_ids):
            yield _step(ChangeKind.FAILED, failure.key.image_id, failure.key.revision, rows)
        for row in rows.values():
            if row.deleted:
                yield _step(ChangeKind.DELETED, row.image_id, row.revision, rows)


def _result(
    output: Output, version: VersionName, ruling: Ruling | None, rows: Mapping[str, CatalogueImage]
) -> Change:
    """Of a retired version it only tells that there was this revision."""
    key = output.key
    if ruling is None:
        return _step(ChangeKind.FAILED, key.image_id, key.revision, rows)
    verdict = ruling.judge.verdict(output.vector)
    return Change(
        kind=ChangeKind.RESULT,
        image_id=key.image_id,
        revision=key.revision,
        occurred_at_ms=_occurred_at_ms(key.image_id, key.revision, rows),
        part_name=version.part,
        part=Part(
            revision=key.revision,
            policy_number=ruling.policy_number,
            tags=verdict.tags,
            scores=verdict.scores,
        ),
    )


def _step(kind: ChangeKind, image_id: str, revision: int, rows: Mapping[str, CatalogueImage]) -> Change:
    at_ms = _occurred_at_ms(image_id, revision, rows)
    return Change(kind=kind, image_id=image_id, revision=revision, occurred_at_ms=at_ms)


def _occurred_at_ms(image_id: str, revision: int, rows: Mapping[str, CatalogueImage]) -> int:
    """Kept for the catalogue's revision only; 0 for an older one, whose successor is on its way."""
    row = rows.get(image_id)
    return row.occurred_at_ms if row is not None and row.revision == revision else 0


def _card(name: VersionName, entry: VersionEntry, models_dir: Path | None) -> ModelCard:
    try:
        card = find_card(name, models_dir)
    except CardError as error:
        raise UsageError(f"the rebuild needs the card of {name}: {error}") from None
    if card.digest != entry.digest:
        raise UsageError(
            f"{name} is registered with digest {entry.digest}, but the card here has {card.digest};"
            " run the rebuild where the model's workers run"
        )
    return card
