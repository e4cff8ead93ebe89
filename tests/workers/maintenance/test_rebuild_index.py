"""Documents rebuilt from the store equal those that the messages made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from panopticon.errors import UsageError
from panopticon.interfaces import Rebuildable, SearchRebuild
from panopticon.results.documents import SearchDocument
from panopticon.results.outputs import VersionName
from panopticon.results.search import Query
from tests.contracts.examples import (
    NOON_MS,
    QUALITY,
    TAGGER,
    deletion,
    failure,
    image,
    key,
    part,
    result,
    retrying,
)
from tests.house import AUTHOR, House
from workers.maintenance.rebuild_index import Rebuilder, Rebuilt, policies


@pytest.fixture
def house(house: House) -> House:
    house.register()
    return house


def put(house: House, image_id: str, *, revision: int = 0, version: VersionName = TAGGER) -> None:
    """Store an output of the tagger that shows a cat, or one of the scorer with every score 0.5."""
    scores = {"tabby": 0.75} if version == TAGGER else dict.fromkeys(house.version(version).labels, 0.5)
    house.store.outputs.put([house.output(image_id, version, scores, revision=revision)])


def rebuild(house: House, *image_ids: str) -> Rebuilt:
    return Rebuilder(store=house.store, policies=policies(house.store)).fill(rebuilding(house), image_ids)


def rebuilding(house: House) -> SearchRebuild:
    assert isinstance(house.real.search, Rebuildable)
    return house.real.search.rebuild()


def test_every_models_part_is_made_from_its_output(house: House) -> None:
    house.store.catalogue.put([image("a", revision=2)])
    put(house, "a", revision=2)
    put(house, "a", revision=2, version=QUALITY)
    rebuild(house, "a")
    document = house.document("a")
    assert (document.revision, document.occurred_at_ms) == (2, NOON_MS)
    assert [tag.label for tag in document.parts["tagger_1"].tags] == ["tabby"]
    assert set(document.parts["quality_1"].scores.values()) == {0.5}
    assert {part.policy_number for part in document.parts.values()} == {1}


def test_parts_of_older_revisions_are_left_out(house: House) -> None:
    house.store.catalogue.put([image("a", revision=1)])
    put(house, "a", revision=0, version=QUALITY)
    put(house, "a", revision=1)
    rebuild(house, "a")
    assert set(house.document("a").parts) == {"tagger_1"}


def test_an_image_whose_newest_revision_waits_on_a_retry_delay_keeps_the_older_one(house: House) -> None:
    house.store.catalogue.put([image("a", revision=5)])
    put(house, "a", revision=4)
    house.store.outputs.put_failures([retrying(key("a", revision=5))])
    rebuild(house, "a")
    assert (house.document("a").revision, set(house.document("a").parts)) == (4, {"tagger_1"})


def test_an_image_whose_newest_revision_is_still_on_its_way_keeps_the_older_one(house: House) -> None:
    house.store.catalogue.put([image("a", revision=5)])
    put(house, "a", revision=4)
    rebuild(house, "a")
    assert (house.document("a").revision, house.document("a").occurred_at_ms) == (4, 0)


def test_a_failure_of_a_newer_revision_removes_the_parts_of_the_older(house: House) -> None:
    house.store.catalogue.put([image("a", revision=1)])
    put(house, "a", revision=0)
    house.store.outputs.put_failures([failure(key("a", version=QUALITY, revision=1))])
    rebuild(house, "a")
    assert (house.document("a").revision, house.document("a").parts) == (1, {})


def test_a_deleted_image_is_a_tombstone(house: House) -> None:
    put(house, "a", revision=1)
    house.store.catalogue.put([image("a", revision=1, event="deleted")])
    rebuild(house, "a")
    document = SearchDocument(image_id="a", revision=1, deleted=True, occurred_at_ms=NOON_MS)
    assert house.document("a") == document


def test_a_retired_version_has_no_part_and_its_revisions_count(house: House) -> None:
    put(house, "a", revision=3)
    put(house, "a", revision=2, version=QUALITY)
    house.retire(TAGGER)
    rebuild(house, "a")
    assert (house.document("a").revision, house.document("a").parts) == (3, {})


def test_an_id_under_which_nothing_is_kept_is_named(house: House) -> None:
    house.store.catalogue.put([image("uploaded")])
    put(house, "a")
    rebuilt = rebuild(house, "a", "nobody", "uploaded")
    assert (rebuilt.images, rebuilt.unknown) == (3, ("nobody",))
    assert set(house.search.get(["a", "nobody", "uploaded"])) == {"a"}


def test_more_images_than_one_chunk_are_all_rebuilt(house: House) -> None:
    names = [f"photo-{number}" for number in range(1201)]
    house.store.catalogue.put([image(name, event="deleted") for name in names])
    reported: list[int] = []
    Rebuilder(store=house.store, policies={}).fill(rebuilding(house), names, progress=reported.append)
    assert len(house.search.get(names)) == sum(reported) == 1201


def test_newer_changes_that_search_has_already_are_kept(house: House) -> None:
    put(house, "a", revision=1)
    house.search.apply([result("a", part(revision=2, cat=0.9)), deletion("b", revision=3)])
    put(house, "b", revision=3)
    rebuild(house, "a", "b")
    assert house.document("a").revision == 2
    assert house.document("b").deleted


def test_the_tags_by_which_a_document_is_found_are_rebuilt_too(house: House) -> None:
    put(house, "a")
    rebuild(house, "a")
    with closing(sqlite3.connect(house.url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("DELETE FROM postings")
    query = Query(parts=("tagger_1",), all_of=("tabby",))
    assert house.search.query(query).documents == ()
    rebuild(house, "a")
    assert [document.image_id for document in house.search.query(query).documents] == ["a"]


def test_a_version_without_an_archived_card_is_named(house: House) -> None:
    without = replace(house.version(TAGGER), version=7, card_sha256="0" * 64)
    house.change(TAGGER, lambda entry: entry.with_version(without, AUTHOR.did("added")))
    with pytest.raises(UsageError, match="tagger@7: the store has no card of it"):
        policies(house.store)
