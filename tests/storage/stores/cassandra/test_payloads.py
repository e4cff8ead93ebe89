"""Rows of the catalogue as bytes: Cassandra keeps the greater of two with the same timestamp."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panopticon.results.outputs import CatalogueImage
from storage.stores.cassandra.tables.payloads import decode_image, encode_image

IMAGES = st.builds(
    CatalogueImage,
    image_id=st.just("photo"),
    revision=st.integers(0, 1),
    image_uri=st.sampled_from(["", "a", "b", "\U0010ffff", "\U0010ffff" * 20]),
    event=st.sampled_from(["uploaded", "deleted"]),
    occurred_at_ms=st.integers(-2, 2) | st.sampled_from([-62_135_596_800_000, 253_402_300_799_999]),
    located_at_ms=st.integers(0, 2) | st.just(2**52),
)


@given(IMAGES)
def test_a_row_is_read_as_it_was_written(image: CatalogueImage) -> None:
    assert decode_image("photo", encode_image(image)) == image


@given(IMAGES, IMAGES)
def test_the_bytes_are_in_the_order_of_the_rows(one: CatalogueImage, other: CatalogueImage) -> None:
    assert (encode_image(one) > encode_image(other)) == one.supersedes(other)
