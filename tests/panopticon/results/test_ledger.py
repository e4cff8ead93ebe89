from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.results.ledger import Ledger, State, state_of
from panopticon.results.outputs import CatalogueImage, Failure, FailureState, OutputKey

KEY = OutputKey(image_id="a", model="tagger", version=1, revision=0)

images = st.none() | st.sampled_from(["uploaded", "deleted"]).map(lambda event: image(event))
failures = st.none() | st.sampled_from(FailureState).map(lambda state: failure(state))


def image(event: str = "uploaded") -> CatalogueImage:
    return CatalogueImage(image_id="a", revision=0, image_uri="file:///a.jpg", event=event, occurred_at_ms=0)


def failure(state: FailureState) -> Failure:
    return Failure(
        key=KEY, state=state, reason="truncated", detail="", attempts=0, last_at_ms=0, message=b"{}"
    )


def test_an_uploaded_image_without_anything_is_pending() -> None:
    assert state_of(image(), has_output=False, failure=None, retired=False) is State.PENDING


@given(image=images, failure=failures, retired=st.booleans())
def test_an_image_with_an_output_is_stored_in_every_case(
    image: CatalogueImage | None, failure: Failure | None, retired: bool
) -> None:
    assert state_of(image, has_output=True, failure=failure, retired=retired) is State.STORED


@given(image=images, retired=st.booleans())
def test_a_dead_failure_without_an_output_makes_an_image_dead(
    image: CatalogueImage | None, retired: bool
) -> None:
    dead = failure(FailureState.DEAD)
    assert state_of(image, has_output=False, failure=dead, retired=retired) is State.DEAD


def test_a_replayed_failure_leaves_an_image_pending() -> None:
    replayed = failure(FailureState.REPLAYED)
    assert state_of(image(), has_output=False, failure=replayed, retired=False) is State.PENDING


def test_an_image_on_a_retry_delay_is_pending() -> None:
    waits = failure(FailureState.RETRYING)
    assert state_of(image(), has_output=False, failure=waits, retired=False) is State.PENDING


@pytest.mark.parametrize(
    ("now_ms", "waits"), [(-11, False), (-10, True), (0, True), (60, True), (70, True), (71, False)]
)
def test_a_record_of_a_retry_delay_holds_until_its_time_and_not_if_it_is_from_the_future(
    now_ms: int, waits: bool
) -> None:
    record = replace(failure(FailureState.RETRYING), retry_at_ms=60)
    assert record.waits(now_ms=now_ms, margin_ms=10) is waits
    assert not replace(record, state=FailureState.DEAD).waits(now_ms=now_ms, margin_ms=10)


def test_a_discarded_failure_leaves_an_image_skipped() -> None:
    discarded = failure(FailureState.DISCARDED)
    assert state_of(image(), has_output=False, failure=discarded, retired=False) is State.SKIPPED


def test_a_deleted_image_is_skipped() -> None:
    assert state_of(image("deleted"), has_output=False, failure=None, retired=False) is State.SKIPPED


def test_an_image_of_a_retired_version_is_skipped() -> None:
    assert state_of(image(), has_output=False, failure=None, retired=True) is State.SKIPPED


def test_a_discarded_malformed_message_is_skipped() -> None:
    discarded = failure(FailureState.DISCARDED)
    assert state_of(None, has_output=False, failure=discarded, retired=False) is State.SKIPPED


@given(image=images, failure=failures, has_output=st.booleans(), retired=st.booleans())
def test_only_an_uploaded_image_of_a_version_in_use_can_be_pending(
    image: CatalogueImage | None, failure: Failure | None, has_output: bool, retired: bool
) -> None:
    state = state_of(image, has_output=has_output, failure=failure, retired=retired)
    wanted = image is not None and not image.deleted and not retired
    assert wanted or state is not State.PENDING


@given(st.lists(st.integers(0, 10**9), min_size=4, max_size=4))
def test_accepted_is_the_sum_of_all_states(counts: list[int]) -> None:
    stored, dead, skipped, pending = counts
    ledger = Ledger(stored=stored, dead=dead, skipped=skipped, pending=pending)
    assert ledger.accepted == sum(counts)
