"""A reader of what the store's archive keeps of a version: its card and its digest input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from panopticon.cards.cards import CardError, LabelRow, ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedCard:
    """The card of a registered version as `ModelCard.archived_bytes` wrote it, in this release or another."""

    labels: tuple[LabelRow, ...]
    """One row per element of the output vector."""
    limits: Mapping[str, float]
    """Activation limits that the card sets; empty for a card that is older than limits are."""
    task: str
    """`tagging` or `scoring`; empty if the card names none."""
    fields: Mapping[str, Any]
    """The whole card, not validated: another release may have written other fields."""

    @classmethod
    def parse(cls, archived_bytes: bytes) -> Self:
        """Parse the JSON of one archived card."""
        archived = json.loads(archived_bytes)
        card = archived["card"]
        return cls(
            labels=tuple(LabelRow(**row) for row in archived["labels"]),
            limits={name: limit for name, limit in card.get("limits", {}).items() if limit is not None},
            task=str(card.get("task", "")),
            fields=card,
        )

    def model_card(self) -> ModelCard:
        """Return the card as a ModelCard that has neither labels nor a digest, since its files are not here.

        Raises: CardError if another release wrote the card and this one cannot read it.
        """
        try:
            return ModelCard(**{**self.fields, "folder": Path()})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise CardError(
                f"the card that the store keeps of {self.fields['name']}@{self.fields['version']} is of "
                f"another release: {where}: {first['msg']}"
            ) from None


def element_names(digest_input: bytes) -> tuple[str, ...]:
    """Return the labels in an archived `ModelCard.digest_input`, one per element of the output vector."""
    return tuple(label for label, _synset in json.loads(digest_input)["elements"])
