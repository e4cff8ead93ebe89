"""Hypothesis strategies for valid values of the core's types."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from panopticon.messages import (
    MAX_COUNT,
    MAX_REVISION,
    DeletedPublished,
    FailedPublished,
    ImageMessage,
    ModelActivated,
    ModelDeactivated,
    ResultPublished,
    Tag,
    trimmed,
)

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
image_ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=63).filter(
    lambda image_id: image_id == trimmed(image_id)
)
"""At most 63 characters of at most four bytes, without spaces around them."""
revisions = st.integers(0, MAX_REVISION)
counts = st.integers(1, MAX_COUNT)
model_names = st.from_regex(r"[a-z][a-z0-9]{0,31}", fullmatch=True)
probabilities = st.floats(0, 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))

tags = st.builds(
    Tag, label=texts, probability=probabilities, ancestors=st.lists(texts, max_size=3).map(tuple)
)

image_messages = st.builds(
    ImageMessage,
    image_id=image_ids,
    image_uri=st.none() | texts.filter(bool),
    revision=revisions,
    event=st.sampled_from(["uploaded", "deleted"]),
    occurred_at=st.none() | moments,
    message_id=st.none() | texts,
)

_about_image = {"image_id": image_ids, "revision": revisions, "occurred_at": st.none() | moments}
_about_version = {"model": model_names, "version": counts}

results = st.builds(
    ResultPublished,
    **_about_image,
    **_about_version,
    policy_number=counts,
    tags=st.lists(tags, max_size=3).map(tuple),
    scores=st.dictionaries(texts, finite, max_size=3),
)
failures = st.builds(FailedPublished, **_about_image, **_about_version, reason=texts)
deletes = st.builds(DeletedPublished, **_about_image)
activations = st.builds(
    ModelActivated,
    **_about_version,
    serial=st.none() | counts,
    former_version=st.none() | counts,
    activated_at=moments,
    activated_by=texts,
    reason=texts,
)
deactivations = st.builds(
    ModelDeactivated,
    model=model_names,
    serial=counts,
    former_version=st.none() | counts,
    deactivated_at=moments,
    deactivated_by=texts,
    reason=texts,
)
result_messages = results | failures | deletes | activations | deactivations
