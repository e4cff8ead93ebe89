"""An output is explained by its own labels and policy, as far as they are still kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from panopticon.cards.cards import canonical_json
from panopticon.results.outputs import Output, VersionName
from tests.contracts.examples import key, output
from tests.house import AUTHOR, House
from tests.workers.two_versions import LIGHT_1, PETS_1, register_two_versions
from workers.inspection.explain import Explanation, LabelsFrom, explain
from workers.registry.records import all_versions

VECTOR = (0.75, 0.25, 0.0625)


@pytest.fixture
def house(house: House, tmp_path: Path) -> House:
    register_two_versions(house, tmp_path)
    return house


def made(
    house: House, name: VersionName = PETS_1, *, vector: Sequence[float] = VECTOR, digest: str = ""
) -> Output:
    """Return an output by the registered digest, unless another is given."""
    digest = digest or house.version(name).digest
    return replace(output(key(version=name)), vector=np.array(vector, dtype="<f4"), digest=digest)


def explained(house: House, of: Output, *, revision: int | None = 0) -> Explanation:
    registered = all_versions(house.store.registry)
    return explain(of, registered, house.store.archive, revision=revision)


def test_the_present_policy_gives_what_is_kept_and_why_the_rest_is_dropped(house: House) -> None:
    house.put_policy(PETS_1, 'top_k = 1\nhidden = ["dog"]\n[renamed]\ncat = "kitty"\n')
    explanation = explained(house, made(house))
    assert explanation.policy_number == 2
    assert [(reason.name, reason.shown_as, reason.value) for reason in explanation.kept] == [
        ("cat", "kitty", 0.75)
    ]
    assert [(reason.name, reason.why) for reason in explanation.dropped] == [
        ("dog", "hidden"),
        ("fox", "below the threshold 0.1"),
    ]


def test_every_score_is_kept(house: House) -> None:
    explanation = explained(house, made(house, LIGHT_1, vector=(0.5, 0.0)))
    assert [reason.name for reason in explanation.kept] == ["noise", "light"]
    assert explanation.dropped == ()


def test_elements_are_named_by_the_registry_if_the_digest_is_the_registered_one(house: House) -> None:
    explanation = explained(house, made(house))
    assert (explanation.labels_from, explanation.note) == (LabelsFrom.REGISTRY, "")
    assert explanation.top == (("cat", 0.75), ("dog", 0.25), ("fox", 0.0625))


def test_an_output_by_another_digest_has_the_labels_archived_under_it_and_no_policy(house: House) -> None:
    digest_input = {"elements": [["horse", ""], ["cow", "n1"], ["pig", ""]]}
    digest = house.store.archive.put(canonical_json(digest_input).encode())
    explanation = explained(house, made(house, digest=digest))
    assert explanation.labels_from is LabelsFrom.DIGEST
    assert explanation.top[:2] == (("horse", 0.75), ("cow", 0.25))
    assert (explanation.reasons, explanation.policy_number) == ((), None)
    registered = house.version(PETS_1).digest
    assert explanation.note == f"pets@1 is registered with another digest, {registered}"


def test_without_labels_under_its_digest_elements_are_numbered(house: House) -> None:
    explanation = explained(house, made(house, digest="d1"))
    assert explanation.labels_from is LabelsFrom.NOWHERE
    assert explanation.top == (("#0", 0.75), ("#1", 0.25), ("#2", 0.0625))


def test_an_output_of_an_unregistered_version_is_explained_by_its_digest(house: House) -> None:
    digest = house.version(PETS_1).digest
    explanation = explained(house, made(house, VersionName(model="lost", version=3), digest=digest))
    assert (explanation.entry, explanation.labels_from) == (None, LabelsFrom.DIGEST)
    assert explanation.top[0] == ("cat", 0.75)
    assert explanation.note == "the registry does not know lost@3"


def test_a_version_without_an_archived_card_still_has_its_labels(house: House) -> None:
    without = replace(house.version(PETS_1), card_sha256="")
    house.change(PETS_1, lambda entry: entry.with_version(without, AUTHOR.did("lost its card")))
    explanation = explained(house, made(house))
    assert explanation.top[0] == ("cat", 0.75)
    assert (explanation.policy_number, explanation.kept) == (None, ())
    assert explanation.note.startswith("pets@1: the store has no card of it")


@pytest.mark.parametrize(("revision", "current"), [(0, True), (1, False), (None, False)])
def test_an_output_is_current_if_it_is_of_the_catalogue_s_revision(
    house: House, revision: int | None, current: bool
) -> None:
    assert explained(house, made(house), revision=revision).current is current
