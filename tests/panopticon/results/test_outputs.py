from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from panopticon.errors import Rejected
from panopticon.results.outputs import (
    CatalogueImage,
    FailureState,
    Output,
    OutputKey,
    VersionName,
    decode_payload,
    encode_payload,
    quantise,
)

KEY = OutputKey(image_id="a", model="tagger", version=1, revision=2)
FLOAT16_MAX = 65504.0

dtypes = st.sampled_from(["float16", "float32"])
stored_vectors = dtypes.flatmap(
    lambda dtype: arrays.arrays(
        np.dtype(dtype), st.integers(0, 20), elements={"allow_nan": False, "allow_infinity": False}
    )
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
sizes = st.integers(0, 2**31)
outputs = st.builds(
    Output,
    key=st.just(KEY),
    vector=stored_vectors,
    digest=texts,
    engine=texts,
    libraries=texts,
    source_sha256=texts,
    width_px=sizes,
    height_px=sizes,
    produced_at_ms=st.integers(0, 2**53),
)


def output(vector: NDArray[Any]) -> Output:
    return Output(
        key=KEY,
        vector=vector,
        digest="d",
        engine="litert",
        libraries="l",
        source_sha256="s",
        width_px=3,
        height_px=4,
        produced_at_ms=5,
    )


def image(revision: int, event: str, *, uri: str = "file:///a.jpg") -> CatalogueImage:
    return CatalogueImage(image_id="a", revision=revision, image_uri=uri, event=event, occurred_at_ms=0)


def fields_without_the_vector(kept: Output) -> list[object]:
    return [getattr(kept, name) for name in Output.__slots__ if name != "vector"]


@given(outputs)
def test_a_vector_survives_the_payload_bit_for_bit(kept: Output) -> None:
    again = decode_payload(KEY, encode_payload(kept)).vector
    assert (again.dtype, again.shape) == (kept.vector.dtype, kept.vector.shape)
    assert again.tobytes() == kept.vector.tobytes()


@given(outputs)
def test_every_other_field_survives_the_payload(kept: Output) -> None:
    again = decode_payload(KEY, encode_payload(kept))
    assert fields_without_the_vector(again) == fields_without_the_vector(kept)


@given(outputs)
def test_one_output_has_one_payload(kept: Output) -> None:
    assert encode_payload(decode_payload(KEY, encode_payload(kept))) == encode_payload(kept)


@pytest.mark.parametrize("dtype", [">f4", ">f2", "<f4", "<f2"])
def test_a_payload_is_the_same_whatever_the_byte_order_in_memory(dtype: str) -> None:
    vector = np.array([0.25, -1.5, 3.0], dtype)
    assert decode_payload(KEY, encode_payload(output(vector))).vector.tolist() == [0.25, -1.5, 3.0]


def test_a_vector_that_is_not_contiguous_is_encoded_completely() -> None:
    vector = np.arange(10, dtype=np.float32)[::2]
    assert decode_payload(KEY, encode_payload(output(vector))).vector.tolist() == [0, 2, 4, 6, 8]


def test_a_decoded_vector_cannot_be_written_to() -> None:
    vector = decode_payload(KEY, encode_payload(output(np.zeros(3, np.float32)))).vector
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1


@given(stored_vectors)
def test_quantising_a_stored_vector_changes_nothing(vector: NDArray[Any]) -> None:
    assert quantise(vector, vector.dtype.name).tobytes() == vector.tobytes()


@given(arrays.arrays(np.float64, st.integers(0, 20), elements=st.floats(-FLOAT16_MAX, FLOAT16_MAX)), dtypes)
def test_quantising_gives_the_nearest_value_of_the_dtype(vector: NDArray[Any], dtype: str) -> None:
    stored = quantise(vector, dtype)
    assert stored.dtype == np.dtype(dtype).newbyteorder("<")
    assert stored.tolist() == [float(np.dtype(dtype).type(value)) for value in vector]


def test_a_quantised_vector_is_a_copy() -> None:
    vector = np.zeros(3, np.float32)
    stored = quantise(vector, "float32")
    vector[0] = 1
    assert stored[0] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("place", [0, 2])
def test_one_element_that_is_not_finite_rejects_a_vector(value: float, dtype: str, place: int) -> None:
    vector = np.zeros(3, np.float32)
    vector[place] = value
    with pytest.raises(Rejected) as caught:
        quantise(vector, dtype)
    assert caught.value.reason == "not_finite"


@pytest.mark.parametrize(("value", "dtype"), [(65520.0, "float16"), (-1e6, "float16"), (1e39, "float32")])
def test_a_value_too_large_for_the_dtype_rejects_a_vector(value: float, dtype: str) -> None:
    with pytest.raises(Rejected) as caught:
        quantise(np.array([0.0, value]), dtype)
    assert caught.value.reason == "not_finite"


def test_the_largest_value_of_the_dtype_is_kept() -> None:
    assert quantise(np.array([FLOAT16_MAX]), "float16").tolist() == [FLOAT16_MAX]


catalogue_images = st.builds(image, st.integers(0, 3), st.sampled_from(["uploaded", "deleted"]))


def newest(arrived: list[CatalogueImage]) -> CatalogueImage:
    kept = arrived[0]
    for later in arrived[1:]:
        kept = later if later.supersedes(kept) else kept
    return kept


@given(catalogue_images, catalogue_images)
def test_exactly_one_of_two_different_rows_supersedes_the_other(
    one: CatalogueImage, other: CatalogueImage
) -> None:
    assert one.supersedes(other) + other.supersedes(one) == (one != other)


@given(catalogue_images, catalogue_images, catalogue_images)
def test_superseding_is_transitive(one: CatalogueImage, other: CatalogueImage, third: CatalogueImage) -> None:
    assert not (one.supersedes(other) and other.supersedes(third)) or one.supersedes(third)


@given(st.lists(catalogue_images, min_size=1, max_size=5))
def test_the_newest_row_is_the_same_in_any_order_of_arrival(arrived: list[CatalogueImage]) -> None:
    assert len({newest(list(order)) for order in itertools.permutations(arrived)}) == 1


def test_a_higher_revision_supersedes_a_delete() -> None:
    assert image(2, "uploaded").supersedes(image(1, "deleted"))


def test_a_delete_wins_a_tie() -> None:
    assert image(1, "deleted").supersedes(image(1, "uploaded"))


def test_the_later_of_two_uploads_of_one_revision_supersedes() -> None:
    later = replace(image(1, "uploaded"), occurred_at_ms=image(1, "uploaded").occurred_at_ms + 1)
    assert later.supersedes(image(1, "uploaded", uri="file:///z.jpg"))


def test_a_time_before_1970_supersedes_an_unknown_one() -> None:
    unknown = image(1, "uploaded", uri="file:///z.jpg")
    assert replace(unknown, image_uri="file:///a.jpg", occurred_at_ms=-1).supersedes(unknown)


def test_the_greater_uri_of_two_uploads_of_one_revision_and_time_supersedes() -> None:
    assert image(1, "uploaded", uri="file:///b.jpg").supersedes(image(1, "uploaded", uri="file:///a.jpg"))


def test_the_states_of_a_failure_are_ordered() -> None:
    """Stores keep the ranks, so they never change: a new state gets a number that none has."""
    assert {state.value: state.rank for state in FailureState} == {
        "retrying": -1,
        "dead": 0,
        "replayed": 1,
        "discarded": 2,
    }


def test_a_version_is_written_with_an_at_sign_and_its_part_without() -> None:
    version = VersionName(model="tagger", version=12)
    assert (str(version), version.part) == ("tagger@12", "tagger_12")
