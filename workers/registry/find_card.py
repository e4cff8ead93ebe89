"""Finding the card of a model version: on this machine, or else in the store's archive."""

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
    """A version's card, with what the registry has of the version."""

    card: ModelCard
    is_here: bool
    """True if the card, and the files that it names, are on this machine."""
    digest: str
    elements: int
    """Length of the version's output vectors."""
    entry: VersionEntry | None
    """None for a version that is not registered."""
    report: ReportRecord | None
    """The latest comparison with this version on either side."""

    @property
    def name(self) -> VersionName:
        return self.card.version_name

    @property
    def description(self) -> str:
        """Describe the card's preprocessing for people.

        Raises: CardError if the card is here and its plug-in is not.
        """
        preprocessing = self.card.preprocessing
        # A card from the archive comes without its plug-in, so all that is known of it is its name.
        return preprocessing.description if self.is_here or not preprocessing.plugin else preprocessing.plugin


def find_known(name: VersionName, store: Store, models_dir: Path | None) -> KnownVersion:
    """Return a version with its card from this machine, or else from the store's archive.

    Raises: CardError if neither has its card; Unavailable.
    """
    model = store.registry.read(name.model)
    entry = model.version(name.version) if model else None
    reports = [kept for kept in model.reports if name.version in (kept.former, kept.version)] if model else []
    report = max(reports, key=lambda kept: kept.at_ms, default=None)
    # A version that is not registered has no card in the archive: `find_card` raises the error for it.
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
    body = store.archive.get(entry.card_sha256)
    if body is None:
        raise CardError(
            f"{name} has a card neither on this machine nor in the store; start a worker of it once, which "
            "keeps it"
        )
    archived = ArchivedCard.parse(body)
    return KnownVersion(
        card=archived.model_card(),
        is_here=False,
        digest=entry.digest,
        elements=len(archived.labels),
        entry=entry,
        report=report,
    )
