from __future__ import annotations

import json

import pytest

from panopticon.cards.archived import ArchivedCard, element_names
from panopticon.cards.cards import CardError, ModelCard
from tests.panopticon.altered import altered


def test_an_archived_card_has_the_labels_the_task_and_the_limits_of_the_card(tagger: ModelCard) -> None:
    limited = altered(tagger, limits={"min_coverage": 0.5})
    archived = ArchivedCard.parse(limited.archived_bytes)
    assert archived.labels == limited.labels
    assert archived.task == "tagging"
    assert archived.limits == {"min_coverage": 0.5}


def test_the_model_card_of_an_archived_card_equals_the_card_but_for_its_folder(tagger: ModelCard) -> None:
    card = ArchivedCard.parse(tagger.archived_bytes).model_card()
    assert card.model_dump(exclude={"folder"}) == tagger.model_dump(exclude={"folder"})


def test_a_card_from_before_there_were_limits_sets_none(tagger: ModelCard) -> None:
    fields = json.loads(tagger.archived_bytes)
    del fields["card"]["limits"]
    assert ArchivedCard.parse(json.dumps(fields).encode()).limits == {}


def test_a_card_with_an_unknown_field_still_has_its_labels_but_is_refused_as_a_model_card(
    quality: ModelCard,
) -> None:
    fields = json.loads(quality.archived_bytes)
    fields["card"]["aura"] = 3
    archived = ArchivedCard.parse(json.dumps(fields).encode())
    assert archived.labels == quality.labels
    with pytest.raises(CardError, match=r"quality@1 is of another release: aura: "):
        archived.model_card()


def test_the_digest_input_names_every_element_in_order(quality: ModelCard) -> None:
    assert element_names(quality.digest_input) == quality.output.names
