"""Everything that is kept of an image is read together, by ID."""

from __future__ import annotations

import pytest

from tests.contracts.examples import QUALITY, TAGGER, deletion, failure, image, key, output, part, result
from tests.house import House
from workers.registry.image_record import ImageRecord, read_image_records


@pytest.fixture
def records(house: House) -> dict[str, ImageRecord]:
    """Records of an image that is kept everywhere, of a deleted one, and of an unknown one."""
    store, search = house.store, house.search
    store.catalogue.put([image("a", revision=2), image("gone", event="deleted")])
    store.outputs.put([output(key("a", revision=number)) for number in (1, 2)])
    store.outputs.put_failures([failure(key("a", version=QUALITY, revision=1))])
    search.apply([result("a", part(revision=2, cat=0.9)), deletion("gone")])
    ids = ["gone", "nobody", "a"]
    found = read_image_records(ids, store=store, search=search)
    assert [record.image_id for record in found] == ids
    return {record.image_id: record for record in found}


def test_an_image_has_its_own_outputs_failures_row_and_document(records: dict[str, ImageRecord]) -> None:
    record = records["a"]
    assert (len(record.outputs), len(record.failures)) == (2, 1)
    assert record.keys == [
        key("a", version=QUALITY, revision=1),
        key("a", revision=1),
        key("a", revision=2),
    ]
    assert (record.empty, record.in_catalogue, record.in_search) == (False, True, True)


def test_a_version_s_output_and_failure_count_at_the_catalogue_s_revision_alone(
    records: dict[str, ImageRecord],
) -> None:
    assert (records["a"].has_output(TAGGER), records["a"].has_output(QUALITY)) == (True, False)
    assert records["a"].failure(QUALITY) is None
    assert not records["nobody"].has_output(TAGGER)


def test_a_deleted_image_is_known_and_neither_in_the_catalogue_nor_in_search(
    records: dict[str, ImageRecord],
) -> None:
    record = records["gone"]
    assert (record.empty, record.in_catalogue, record.in_search) == (False, False, False)


def test_the_record_of_an_unknown_image_is_empty(records: dict[str, ImageRecord]) -> None:
    record = records["nobody"]
    assert (record.empty, record.keys) == (True, [])
