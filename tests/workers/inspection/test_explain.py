"""An output is explained by its own labels and policy, as far as they are still kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from panopticon.cards.cards import canonical_json
from panopticon.registry.records import ModelEntry, VersionEntry
from panopticon.results.outputs import Output, VersionName
from storage.search import open_search
from storage.stores import open_store
from tests.contracts.examples import key, output
from tests.workers.two_versions import LIGHT_1, PETS_1, Planted
from workers.inspection.explain import Explanation, LabelsFrom, explain
from workers.queues import open_broker
from workers.registry.records import all_versions

VECTOR = (0.75, 0.25, 0.0625)


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Planted]:
    url = f"sqlite:///{tmp_path / 'house.db'}"
    with closing(open_store(url)) as store, closing(open_broker(url)) as broker:
        planted = Planted(store=store, broker=broker, search=open_search(url), folder=tmp_path)
        planted.register_all()
        yield planted


def entry_of(planted: Planted, name: VersionName) -> tuple[ModelEntry, VersionEntry]:
    return all_versions(planted.store.registry)[name]


def made(
    planted: Planted, name: VersionName = PETS_1, *, vector: Sequence[float] = VECTOR, digest: str = ""
) -> Output:
    """Return an output by the registered digest, unless another is given."""
    digest = digest or entry_of(planted, name)[1].digest
    return replace(output(key(version=name)), vector=np.array(vector, dtype="<f4"), digest=digest)


def explained(planted: Planted, of: Output, *, revision: int | None = 0) -> Explanation:
    registered = all_versions(planted.store.registry)
    return explain(of, registered, planted.store.archive, revision=revision)


def test_the_present_policy_gives_what_is_kept_and_why_the_rest_is_dropped(planted: Planted) -> None:
    planted.put_policy(PETS_1, 'top_k = 1\nhidden = ["dog"]\n[renamed]\ncat = "kitty"\n')
    explanation = explained(planted, made(planted))
    assert explanation.policy_number == 2
    assert [(reason.name, reason.shown_as, reason.value) for reason in explanation.kept] == [
        ("cat", "kitty", 0.75)
    ]
    assert [(reason.name, reason.why) for reason in explanation.dropped] == [
        ("dog", "hidden"),
        ("fox", "below the threshold 0.1"),
    ]


def test_every_score_is_kept(planted: Planted) -> None:
    explanation = explained(planted, made(planted, LIGHT_1, vector=(0.5, 0.0)))
    assert [reason.name for reason in explanation.kept] == ["noise", "light"]
    assert explanation.dropped == ()


def test_elements_are_named_by_the_registry_if_the_digest_is_the_registered_one(planted: Planted) -> None:
    explanation = explained(planted, made(planted))
    assert (explanation.labels_from, explanation.note) == (LabelsFrom.REGISTRY, "")
    assert explanation.top == (("cat", 0.75), ("dog", 0.25), ("fox", 0.0625))


def test_an_output_by_another_digest_has_the_labels_archived_under_it_and_no_policy(planted: Planted) -> None:
    digest_input = {"elements": [["horse", ""], ["cow", "n1"], ["pig", ""]]}
    digest = planted.store.archive.put(canonical_json(digest_input).encode())
    explanation = explained(planted, made(planted, digest=digest))
    assert explanation.labels_from is LabelsFrom.DIGEST
    assert explanation.top[:2] == (("horse", 0.75), ("cow", 0.25))
    assert (explanation.reasons, explanation.policy_number) == ((), None)
    registered = entry_of(planted, PETS_1)[1].digest
    assert explanation.note == f"pets@1 is registered with another digest, {registered}"


def test_without_labels_under_its_digest_elements_are_numbered(planted: Planted) -> None:
    explanation = explained(planted, made(planted, digest="d1"))
    assert explanation.labels_from is LabelsFrom.NOWHERE
    assert explanation.top == (("#0", 0.75), ("#1", 0.25), ("#2", 0.0625))


def test_an_output_of_an_unregistered_version_is_explained_by_its_digest(planted: Planted) -> None:
    digest = entry_of(planted, PETS_1)[1].digest
    explanation = explained(planted, made(planted, VersionName(model="lost", version=3), digest=digest))
    assert (explanation.entry, explanation.labels_from) == (None, LabelsFrom.DIGEST)
    assert explanation.top[0] == ("cat", 0.75)
    assert explanation.note == "the registry does not know lost@3"


def test_a_version_without_an_archived_card_still_has_its_labels(planted: Planted) -> None:
    model, entry = entry_of(planted, PETS_1)
    versions = (replace(entry, card_sha256=""), *model.versions[1:])
    assert planted.store.registry.swap(model, replace(model, serial=model.serial + 1, versions=versions))
    explanation = explained(planted, made(planted))
    assert explanation.top[0] == ("cat", 0.75)
    assert (explanation.policy_number, explanation.kept) == (None, ())
    assert explanation.note.startswith("pets@1: the store has no card of it")


@pytest.mark.parametrize(("revision", "current"), [(0, True), (1, False), (None, False)])
def test_an_output_is_current_if_it_is_of_the_catalogue_s_revision(
    planted: Planted, revision: int | None, current: bool
) -> None:
    assert explained(planted, made(planted), revision=revision).current is current
