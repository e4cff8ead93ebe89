"""One model version as it is known: by its card on this machine, or else by the card that the store keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from panopticon.cards.archived import ArchivedCard
from panopticon.cards.cards import CardError, ModelCard
from panopticon.interfaces import Store
from panopticon.models import all_cards, find_card
from panopticon.registry.records import ReportRecord, VersionEntry
from panopticon.results.outputs import VersionName


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVersion:
    """A card, and what the registry has of its version."""

    card: ModelCard
    is_here: bool
    """Whether the card, and the files that it names, are on this machine."""
    digest: str
    elements: int
    """Of a vector."""
    entry: VersionEntry | None
    """None for a version that is not registered."""
    report: ReportRecord | None
    """The latest comparison with it on either side."""

    @property
    def name(self) -> VersionName:
        return self.card.version_name

    @property
    def description(self) -> str:
        """For people: its preprocessing. Raises: CardError for a plug-in of a card here that is missing."""
        preprocessing = self.card.preprocessing
        return preprocessing.description if self.is_here or not preprocessing.plugin else preprocessing.plugin


def find_known(name: VersionName, store: Store, models_dir: Path | None) -> KnownVersion:
    """Raises: CardError if there is a card of it neither here nor in the store; Unavailable."""
    model = store.registry.read(name.model)
    entry = model.version(name.version) if model else None
    reports = [kept for kept in model.reports if name.version in (kept.former, kept.version)] if model else []
    report = max(reports, key=lambda kept: kept.at_ms, default=None)
    if entry is None or any(card.version_name == name for card in all_cards(models_dir)):
        card = find_card(name, models_dir)
        return KnownVersion(
            card=card,
            is_here=True,
            digest=card.digest,
            elements=len(card.labels),
            entry=entry,
            report=report,
        )
    archived = ArchivedCard.parse(_kept(name, entry, store))
    return KnownVersion(
        card=archived.model_card(),
        is_here=False,
        digest=entry.digest,
        elements=len(archived.labels),
        entry=entry,
        report=report,
    )


def _kept(name: VersionName, entry: VersionEntry, store: Store) -> bytes:
    whole = store.archive.get(entry.card_sha256)
    if whole is None:
        raise CardError(
            f"{name} has a card neither on this machine nor in the store; start a worker of it once, which "
            "keeps it"
        )
    return whole
