"""Documents and registry entries come back from JSON as they went in."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.messages import Tag
from panopticon.registry.records import (
    ModelEntry,
    RegistryEvent,
    VersionEntry,
    VersionState,
    decode_entry,
    encode_entry,
)
from panopticon.results.documents import Part, SearchDocument, decode_document, encode_document

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PARTS = st.builds(
    Part,
    revision=st.integers(0, 2**53 - 1),
    policy_number=st.integers(1),
    tags=st.lists(
        st.builds(
            Tag, label=TEXTS, probability=st.floats(0, 1), ancestors=st.lists(TEXTS, max_size=3).map(tuple)
        ),
        max_size=3,
    ).map(tuple),
    scores=st.dictionaries(TEXTS, FINITE, max_size=3),
)
DOCUMENTS = st.builds(
    SearchDocument,
    image_id=TEXTS,
    revision=st.integers(-1, 2**53 - 1),
    deleted=st.booleans(),
    occurred_at_ms=st.integers(),
    parts=st.dictionaries(TEXTS, PARTS, max_size=3),
)
ENTRIES = st.builds(
    ModelEntry,
    model=TEXTS,
    serial=st.integers(0),
    task=TEXTS,
    active_version=st.none() | st.integers(1),
    versions=st.lists(
        st.builds(
            VersionEntry,
            version=st.integers(1),
            digest=TEXTS,
            state=st.sampled_from(VersionState),
            labels=st.lists(TEXTS, max_size=3).map(tuple),
            policy_toml=TEXTS,
            policy_number=st.integers(1),
        ),
        max_size=2,
    ).map(tuple),
    history=st.lists(
        st.builds(RegistryEvent, at_ms=st.integers(0), by=TEXTS, what=TEXTS, reason=TEXTS), max_size=2
    ).map(tuple),
)


@given(DOCUMENTS)
def test_decoding_an_encoded_document_gives_an_equal_document(document: SearchDocument) -> None:
    assert decode_document(encode_document(document)) == document


@given(ENTRIES)
def test_decoding_an_encoded_registry_entry_gives_an_equal_entry(entry: ModelEntry) -> None:
    assert decode_entry(encode_entry(entry)) == entry


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_not_encoded(score: float) -> None:
    document = SearchDocument(
        image_id="a", parts={"q_1": Part(revision=0, policy_number=1, scores={"s": score})}
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_document(document)


def test_text_with_lone_surrogates_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encode_document(SearchDocument(image_id="\udcff"))
