from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.messages import DeletedPublished, FailedPublished, ResultPublished, Tag
from panopticon.results.documents import (
    Change,
    ChangeKind,
    Part,
    SearchDocument,
    change_of,
    fold_label,
    merge,
)

EMPTY = SearchDocument(image_id="a")


def result(
    revision: int, part_name: str = "tagger_1", policy_number: int = 1, *, occurred_at_ms: int = 0
) -> Change:
    """Equal (revision, part, policy number) give equal parts, as they come from one stored vector."""
    label = f"{part_name} at {revision} by {policy_number}"
    part = Part(
        revision=revision,
        policy_number=policy_number,
        tags=(Tag(label=label, probability=0.5),),
        scores={"sharpness": revision / 10},
    )
    return Change(
        kind=ChangeKind.RESULT,
        image_id="a",
        revision=revision,
        part_name=part_name,
        part=part,
        occurred_at_ms=occurred_at_ms,
    )


def failed(revision: int, *, occurred_at_ms: int = 0) -> Change:
    return Change(kind=ChangeKind.FAILED, image_id="a", revision=revision, occurred_at_ms=occurred_at_ms)


def deleted(revision: int, *, occurred_at_ms: int = 0) -> Change:
    return Change(kind=ChangeKind.DELETED, image_id="a", revision=revision, occurred_at_ms=occurred_at_ms)


def after(*history: Change) -> SearchDocument:
    return reduce(merge, history, EMPTY)


def policies_of(document: SearchDocument) -> dict[str, tuple[int, int]]:
    return {name: (part.revision, part.policy_number) for name, part in document.parts.items()}


def oracle(history: Iterable[Change]) -> SearchDocument:
    """Lay the history in order (revision, deletes last, policy number); then the last word holds."""
    revision, is_deleted, occurred_at_ms = -1, False, 0
    parts: dict[str, Part] = {}
    for change in sorted(history, key=_place):
        seen_before = change.revision == revision and is_deleted == (change.kind is ChangeKind.DELETED)
        times = [change.occurred_at_ms, occurred_at_ms] if seen_before else [change.occurred_at_ms]
        occurred_at_ms = max(filter(None, times), default=0)
        if change.revision > revision or change.kind is ChangeKind.DELETED:
            parts = {}
        if change.part is not None:
            parts[change.part_name] = change.part
        revision, is_deleted = change.revision, change.kind is ChangeKind.DELETED
    return SearchDocument(
        image_id="a", revision=revision, deleted=is_deleted, occurred_at_ms=occurred_at_ms, parts=parts
    )


def _place(change: Change) -> tuple[int, bool, int]:
    policy_number = change.part.policy_number if change.part else 0
    return change.revision, change.kind is ChangeKind.DELETED, policy_number


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    revisions, times = st.integers(0, 3), st.integers(-3, 3)
    times_of_results = draw(st.lists(times, min_size=4, max_size=4))
    results = st.builds(result, revisions, st.sampled_from(["tagger_1", "tagger_2"]), st.integers(1, 3)).map(
        lambda change: result(
            change.revision,
            change.part_name,
            change.part.policy_number if change.part else 0,
            occurred_at_ms=times_of_results[change.revision],
        )
    )
    others = st.builds(failed, revisions, occurred_at_ms=times) | st.builds(
        deleted, revisions, occurred_at_ms=times
    )
    return draw(st.lists(results | others, min_size=1, max_size=12))


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Change], Sequence[Change]]:
    """A history, and an order in which its changes may arrive, some of them again."""
    history = draw(histories())
    repeats = draw(st.lists(st.sampled_from(history), max_size=6))
    return history, draw(st.permutations([*history, *repeats]))


@given(arrivals())
def test_any_order_with_any_repetition_of_a_history_gives_the_same_document(
    arrival: tuple[list[Change], Sequence[Change]],
) -> None:
    history, order = arrival
    assert after(*order) == oracle(history)


@given(histories())
def test_a_change_applied_again_changes_nothing(history: list[Change]) -> None:
    document = after(*history)
    assert all(merge(document, change) == document for change in history)


@given(histories())
def test_every_part_of_a_document_has_the_revision_of_the_document(history: list[Change]) -> None:
    document = after(*history)
    assert all(part.revision == document.revision for part in document.parts.values())


def test_a_result_is_written_as_its_part() -> None:
    change = result(2)
    assert after(change).parts == {"tagger_1": change.part}


def test_each_version_has_its_own_part() -> None:
    document = after(result(1, "tagger_1"), result(1, "tagger_2"))
    assert policies_of(document) == {"tagger_1": (1, 1), "tagger_2": (1, 1)}


def test_a_higher_policy_number_replaces_a_part() -> None:
    assert policies_of(after(result(1), result(1, policy_number=2))) == {"tagger_1": (1, 2)}


def test_a_lower_policy_number_is_stale() -> None:
    assert policies_of(after(result(1, policy_number=2), result(1))) == {"tagger_1": (1, 2)}


def test_the_first_of_two_parts_of_equal_rank_stays() -> None:
    other = Part(revision=1, policy_number=1)
    change = Change(kind=ChangeKind.RESULT, image_id="a", revision=1, part_name="tagger_1", part=other)
    assert after(result(1), change).parts["tagger_1"] != other


def test_a_higher_revision_drops_the_parts_of_the_lower() -> None:
    document = after(result(1, "tagger_1", 9), result(2, "quality_1"))
    assert policies_of(document) == {"quality_1": (2, 1)}


def test_a_result_of_a_lower_revision_is_stale() -> None:
    document = after(result(2))
    assert merge(document, result(1, policy_number=9)) == document


def test_a_failure_drops_the_parts_of_a_lower_revision() -> None:
    document = after(result(1), failed(2))
    assert (document.revision, document.deleted, document.parts) == (2, False, {})


def test_a_failure_leaves_the_parts_of_its_own_revision() -> None:
    assert policies_of(after(result(1), failed(1))) == {"tagger_1": (1, 1)}


def test_a_delete_leaves_a_tombstone_without_parts() -> None:
    document = after(result(1), deleted(2))
    assert (document.revision, document.deleted, document.parts) == (2, True, {})


@pytest.mark.parametrize("other", [result(1), failed(1)], ids=["result", "failed"])
def test_a_delete_wins_a_tie(other: Change) -> None:
    assert after(deleted(1), other) == after(other, deleted(1)) == after(deleted(1))


def test_an_image_uploaded_again_at_a_higher_revision_is_not_a_tombstone_any_more() -> None:
    document = after(deleted(1), result(2))
    assert (document.deleted, policies_of(document)) == (False, {"tagger_1": (2, 1)})


def test_a_failure_at_a_higher_revision_clears_a_tombstone_too() -> None:
    assert not after(deleted(1), failed(2)).deleted


def test_the_latest_time_received_for_a_revision_stays() -> None:
    history = (result(1, occurred_at_ms=5), failed(1, occurred_at_ms=9), result(1, "quality_1"))
    assert after(*history).occurred_at_ms == 9


def test_a_tombstone_has_the_time_of_its_deletes_only() -> None:
    history = (failed(1, occurred_at_ms=9), deleted(1, occurred_at_ms=3), deleted(1, occurred_at_ms=4))
    assert after(*history).occurred_at_ms == 4


def test_the_time_of_a_lower_revision_is_forgotten() -> None:
    assert after(failed(1, occurred_at_ms=9), failed(2)).occurred_at_ms == 0


def test_a_published_result_becomes_a_change_with_its_part() -> None:
    message = ResultPublished(
        image_id="a",
        revision=3,
        occurred_at=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        model="tagger",
        version=2,
        policy_number=4,
        tags=(Tag(label="cat", probability=0.5),),
        scores={"sharpness": 0.5},
    )
    part = Part(revision=3, policy_number=4, tags=message.tags, scores=message.scores)
    assert change_of(message) == Change(
        kind=ChangeKind.RESULT,
        image_id="a",
        revision=3,
        occurred_at_ms=1000,
        part_name="tagger_2",
        part=part,
    )


def test_a_published_failure_becomes_a_change_without_a_part() -> None:
    message = FailedPublished(image_id="a", revision=3, model="tagger", version=2, reason="truncated")
    assert change_of(message) == failed(3)


def test_a_published_delete_becomes_a_change_to_a_tombstone() -> None:
    assert change_of(DeletedPublished(image_id="a", revision=3)) == deleted(3)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Straße", "STRASSE"), ("ﬁsh", "FISH"), ("é", "e\u0301"), ("Ｃａｔ", "cat"), ("K", "\u212a")],
)
def test_labels_that_read_alike_fold_alike(one: str, other: str) -> None:
    assert fold_label(one) == fold_label(other)


def test_labels_that_differ_stay_different() -> None:
    assert fold_label("resume") != fold_label("résumé")


@given(st.text())
def test_folding_a_folded_label_changes_nothing(label: str) -> None:
    assert fold_label(fold_label(label)) == fold_label(label)


@given(st.text())
def test_a_label_folds_alike_in_every_normal_form(label: str) -> None:
    assert fold_label(unicodedata.normalize("NFD", label)) == fold_label(label)
