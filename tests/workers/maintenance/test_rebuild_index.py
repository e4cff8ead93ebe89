"""Documents rebuilt from the store equal those that the messages made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from panopticon.errors import UsageError
from panopticon.models import find_card
from panopticon.registry.records import RegistryEvent, VersionState
from panopticon.results.documents import SearchDocument
from panopticon.results.outputs import VersionName
from panopticon.results.search import Query
from storage.search.sqlite import SqliteSearchIndex
from storage.stores.sqlite import SqliteStore
from tests.contracts.examples import (
    NOON_MS,
    QUALITY,
    TAGGER,
    deletion,
    failure,
    image,
    key,
    output,
    part,
    result,
)
from workers.maintenance.rebuild_index import Rebuilder, Rebuilt, policies
from workers.queues.sqlite import SqliteBroker
from workers.registry.register import ensure_registered

CAT = 281
"""The tagger's label `tabby`."""


class Bench:
    """A store with the two models that ship, and an index in the same file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "house.db"
        self.url = f"sqlite:///{self.file}"
        self.store = SqliteStore(self.url)
        self.search = SqliteSearchIndex(self.url)
        with closing(SqliteBroker(self.url)) as broker:
            for version in (TAGGER, QUALITY):
                ensure_registered(
                    find_card(version),
                    self.store.registry,
                    broker.topology,
                    archive=self.store.archive,
                    by="test",
                )

    def put(self, image_id: str, *, revision: int = 0, version: VersionName = TAGGER) -> None:
        """Store an output of the tagger that shows a cat, or one of the scorer with every score 0.5."""
        size = len(find_card(version).labels)
        vector = np.full(size, 0.5, dtype="<f2") if version == QUALITY else np.zeros(size, dtype="<f2")
        if version == TAGGER:
            vector[CAT] = 0.75
        of = key(image_id, version=version, revision=revision)
        self.store.outputs.put([replace(output(of), vector=vector)])

    def retire(self, version: VersionName) -> None:
        model = self.store.registry.read(version.model)
        assert model is not None
        entry = replace(model.versions[0], state=VersionState.RETIRED)
        event = RegistryEvent(at_ms=0, by="test", what="retired")
        assert self.store.registry.swap(model, model.with_version(entry, event))

    def rebuild(self, *image_ids: str) -> Rebuilt:
        rebuilder = Rebuilder(store=self.store, policies=policies(self.store))
        return rebuilder.fill(self.search.rebuild(), image_ids)

    def document(self, image_id: str) -> SearchDocument:
        return self.search.get([image_id])[image_id]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with closing(bench.store), closing(bench.search):
        yield bench


def test_every_models_part_is_made_from_its_output(bench: Bench) -> None:
    bench.store.catalogue.put([image("a", revision=2)])
    bench.put("a", revision=2)
    bench.put("a", revision=2, version=QUALITY)
    bench.rebuild("a")
    document = bench.document("a")
    assert (document.revision, document.occurred_at_ms) == (2, NOON_MS)
    assert [tag.label for tag in document.parts["tagger_1"].tags] == ["tabby"]
    assert set(document.parts["quality_1"].scores.values()) == {0.5}
    assert {part.policy_number for part in document.parts.values()} == {1}


def test_parts_of_older_revisions_are_left_out(bench: Bench) -> None:
    bench.store.catalogue.put([image("a", revision=1)])
    bench.put("a", revision=0, version=QUALITY)
    bench.put("a", revision=1)
    bench.rebuild("a")
    assert set(bench.document("a").parts) == {"tagger_1"}


def test_an_image_whose_newest_revision_is_still_on_its_way_keeps_the_older_one(bench: Bench) -> None:
    bench.store.catalogue.put([image("a", revision=5)])
    bench.put("a", revision=4)
    bench.rebuild("a")
    assert (bench.document("a").revision, bench.document("a").occurred_at_ms) == (4, 0)


def test_a_failure_of_a_newer_revision_removes_the_parts_of_the_older(bench: Bench) -> None:
    bench.store.catalogue.put([image("a", revision=1)])
    bench.put("a", revision=0)
    bench.store.outputs.put_failures([failure(key("a", version=QUALITY, revision=1))])
    bench.rebuild("a")
    assert (bench.document("a").revision, bench.document("a").parts) == (1, {})


def test_a_deleted_image_is_a_tombstone(bench: Bench) -> None:
    bench.put("a", revision=1)
    bench.store.catalogue.put([image("a", revision=1, event="deleted")])
    bench.rebuild("a")
    document = SearchDocument(image_id="a", revision=1, deleted=True, occurred_at_ms=NOON_MS)
    assert bench.document("a") == document


def test_a_retired_version_has_no_part_and_its_revisions_count(bench: Bench) -> None:
    bench.put("a", revision=3)
    bench.put("a", revision=2, version=QUALITY)
    bench.retire(TAGGER)
    bench.rebuild("a")
    assert (bench.document("a").revision, bench.document("a").parts) == (3, {})


def test_an_id_under_which_nothing_is_kept_is_named(bench: Bench) -> None:
    bench.store.catalogue.put([image("uploaded")])
    bench.put("a")
    rebuilt = bench.rebuild("a", "nobody", "uploaded")
    assert (rebuilt.images, rebuilt.unknown) == (3, ("nobody",))
    assert set(bench.search.get(["a", "nobody", "uploaded"])) == {"a"}


def test_more_images_than_one_chunk_are_all_rebuilt(bench: Bench) -> None:
    names = [f"photo-{number}" for number in range(1201)]
    bench.store.catalogue.put([image(name, event="deleted") for name in names])
    reported: list[int] = []
    Rebuilder(store=bench.store, policies={}).fill(bench.search.rebuild(), names, progress=reported.append)
    assert len(bench.search.get(names)) == sum(reported) == 1201


def test_newer_changes_that_search_has_already_are_kept(bench: Bench) -> None:
    bench.put("a", revision=1)
    bench.search.apply([result("a", part(revision=2, cat=0.9)), deletion("b", revision=3)])
    bench.put("b", revision=3)
    bench.rebuild("a", "b")
    assert bench.document("a").revision == 2
    assert bench.document("b").deleted


def test_the_tags_by_which_a_document_is_found_are_rebuilt_too(bench: Bench) -> None:
    bench.put("a")
    bench.rebuild("a")
    with closing(sqlite3.connect(bench.file)) as connection, connection:
        connection.execute("DELETE FROM postings")
    query = Query(parts=("tagger_1",), all_of=("tabby",))
    assert bench.search.query(query).documents == ()
    bench.rebuild("a")
    assert [document.image_id for document in bench.search.query(query).documents] == ["a"]


def test_a_version_without_an_archived_card_is_named(bench: Bench) -> None:
    model = bench.store.registry.read("tagger")
    assert model is not None
    entry = replace(model.versions[0], version=7, card_sha256="0" * 64)
    bench.store.registry.swap(model, model.with_version(entry, RegistryEvent(at_ms=0, by="t", what="t")))
    with pytest.raises(UsageError, match="tagger@7: the store has no card of it"):
        policies(bench.store)
