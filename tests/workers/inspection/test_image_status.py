"""The status of an image under a version comes with its cause and with a command that helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from panopticon.depths import Depths
from panopticon.interfaces import Depth
from panopticon.messages import Lane
from panopticon.registry.records import ModelEntry, VersionEntry, VersionState
from panopticon.results.documents import SearchDocument
from panopticon.results.failure_reasons import INDEX_REFUSED
from panopticon.results.outputs import Failure, FailureState, VersionName
from panopticon.results.undeliverable import NO_VERSION
from tests.contracts.examples import NOON_MS, QUALITY, TAGGER, failure, image, key, output, part, retrying
from workers.inspection.audit import AuditStatus
from workers.inspection.image_status import ImageStatus, next_step, pending_versions, statuses
from workers.registry.image_record import ImageRecord
from workers.registry.records import Registered

AUDIT = "echo photo | panopticon audit --ids -"
REPLAY = "panopticon dead replay photo"


def registered(state: VersionState = VersionState.ACTIVE, *, policy_number: int = 1) -> Registered:
    entry = VersionEntry(
        version=1, digest="d1", state=state, labels=("a",), policy_toml="", policy_number=policy_number
    )
    active = 1 if state is VersionState.ACTIVE else 2
    model = ModelEntry(model="tagger", serial=1, task="tagging", active_version=active, versions=(entry,))
    return {TAGGER: (model, entry)}


def record(**kept: Any) -> ImageRecord:
    empty: dict[str, Any] = {"row": image(), "outputs": (), "failures": (), "document": None}
    return ImageRecord(image_id="photo", **{**empty, **kept})


def document(*, revision: int = 0, policy_number: int = 1, name: str = TAGGER.part) -> SearchDocument:
    made = part(revision=revision, policy_number=policy_number, cat=0.9)
    return SearchDocument(image_id="photo", revision=revision, parts={name: made})


def depths(*, ready: int = 0, held: int = 0, retrying: int = 0) -> Mapping[VersionName, Depths]:
    nothing = Depth(ready=0, leased=0, retrying=0)
    lanes = {Lane.LIVE: Depth(ready=ready, leased=held, retrying=retrying), Lane.BACKFILL: nothing}
    return {TAGGER: lanes}


def status(
    of: ImageRecord, known: Registered | None = None, waiting: Mapping[VersionName, Depths] | None = None
) -> ImageStatus:
    (only,) = statuses(of, registered() if known is None else known, waiting or {}, now_ms=NOON_MS)
    return only


def explained(*args: Any) -> tuple[AuditStatus, str, str]:
    only = status(*args)
    return only.result.status, only.why, only.next_step


STORED = record(outputs=[output(key())], document=document())
UNINDEXED = record(outputs=[output(key())])


def test_a_stored_and_searchable_image_is_in_search() -> None:
    assert explained(STORED) == (AuditStatus.STORED, "in search", "")
    assert (status(STORED).answers, status(STORED).behind) == (True, ())


def test_a_shadow_has_a_part_in_search_and_does_not_answer_queries() -> None:
    shadow = status(STORED, registered(VersionState.SHADOW))
    assert (shadow.why, shadow.answers, shadow.part is not None) == ("in search", False, True)


def test_a_result_that_is_stored_and_not_in_search_is_on_its_way_or_lost() -> None:
    assert explained(UNINDEXED) == (
        AuditStatus.STORED,
        "not in search: the result is on its way, or lost",
        AUDIT,
    )


def test_a_part_by_an_older_policy_is_behind() -> None:
    behind = status(STORED, registered(policy_number=3))
    assert behind.why == "search has an older state of it: the result is on its way, or lost"
    assert behind.behind == ("policy 1 is older than the present one, 3",)
    assert behind.next_step == AUDIT


def test_a_part_of_an_older_revision_is_behind() -> None:
    behind = status(
        record(row=image(revision=2), outputs=[output(key(revision=2))], document=document(revision=1))
    )
    assert behind.behind == ("revision 1 is older than the catalogue's 2",)


def test_search_may_be_ahead_of_the_catalogue() -> None:
    ahead = SearchDocument(image_id="photo", revision=1)
    assert explained(record(outputs=[output(key())], document=ahead)) == (
        AuditStatus.STORED,
        "search has a newer revision than the catalogue",
        "",
    )


def test_a_result_that_search_refused_is_reported_as_refused() -> None:
    refused = record(outputs=[output(key())], failures=[failure(key(), reason=INDEX_REFUSED)])
    assert explained(refused) == (AuditStatus.STORED, "refused by search", f"{AUDIT} --fix")


def test_a_dead_image_is_reported_with_its_reason_and_the_command_to_replay_it() -> None:
    assert explained(record(failures=[failure(key())])) == (AuditStatus.DEAD, "corrupt", REPLAY)


@pytest.mark.parametrize(
    ("of", "known", "why"),
    [
        (record(row=image(event="deleted")), registered(), "deleted"),
        (
            record(failures=[failure(key(), state=FailureState.DISCARDED)]),
            registered(),
            "its failure (corrupt) was discarded",
        ),
        (record(document=document()), registered(VersionState.RETIRED), "retired"),
        (record(outputs=[output(key(revision=7))]), {}, "the registry does not know this version"),
    ],
)
def test_a_skipped_image_is_reported_with_the_cause(of: ImageRecord, known: Registered, why: str) -> None:
    assert explained(of, known) == (AuditStatus.SKIPPED, why, "")


@pytest.mark.parametrize(
    ("of", "known", "why"),
    [
        (record(outputs=[output(key())], row=image(event="deleted")), registered(), "deleted"),
        (UNINDEXED, registered(VersionState.RETIRED), "retired"),
        (UNINDEXED, {}, "the registry does not know this version"),
    ],
)
def test_a_stored_image_that_need_not_be_in_search_is_reported_with_the_cause(
    of: ImageRecord, known: Registered, why: str
) -> None:
    assert explained(of, known) == (AuditStatus.STORED, f"not needed in search: {why}", "")


def test_an_image_that_waits_while_a_worker_runs_needs_no_other_one() -> None:
    (only,) = statuses(record(), registered(), depths(ready=3), now_ms=NOON_MS, running={str(TAGGER)})
    assert (only.why, only.next_step) == ("waiting in its queue, or being processed", "")


@pytest.mark.parametrize(
    ("waiting", "why", "step"),
    [
        ({}, "waiting in its queue, or being processed", ""),
        (depths(), "its queue is empty: on its way, or lost", AUDIT),
        (
            depths(ready=3),
            "waiting in its queue, and no worker takes from it",
            "panopticon worker --model tagger@1",
        ),
        (depths(ready=3, held=1), "waiting in its queue, or being processed", ""),
        (depths(retrying=1), "its queue is empty: on its way, or lost", AUDIT),
    ],
)
def test_a_pending_image_is_explained_by_its_queue(
    waiting: Mapping[VersionName, Depths], why: str, step: str
) -> None:
    assert explained(record(), registered(), waiting) == (AuditStatus.PENDING, why, step)


def test_a_version_that_gets_no_uploads_is_listed_only_if_something_is_kept_of_it() -> None:
    unrouted = registered(VersionState.REGISTERED)
    assert statuses(record(), unrouted, {}, now_ms=NOON_MS) == []
    assert explained(record(document=document()), unrouted) == (
        AuditStatus.PENDING,
        "no upload reaches this version",
        "panopticon models shadow tagger@1",
    )


def test_an_image_without_a_row_is_listed_only_under_versions_of_which_something_is_kept() -> None:
    assert (
        statuses(record(row=None, document=document(name=QUALITY.part)), registered(), {}, now_ms=NOON_MS)
        == []
    )
    assert explained(record(row=None, outputs=[output(key())])) == (
        AuditStatus.PENDING,
        "the catalogue does not know the image yet",
        AUDIT,
    )


def test_only_queues_of_versions_that_get_uploads_are_worth_reading() -> None:
    assert pending_versions(record(), registered()) == [TAGGER]
    assert pending_versions(STORED, registered()) == []
    assert pending_versions(record(document=document()), registered(VersionState.REGISTERED)) == []


@pytest.mark.parametrize(
    ("of", "step"),
    [
        (failure(key()), REPLAY),
        (failure(key(), state=FailureState.REPLAYED), ""),
        (failure(key(version=NO_VERSION)), "panopticon dead discard photo"),
        (replace(failure(key("a b")), reason="not_found"), "panopticon dead replay 'a b'"),
    ],
)
def test_a_failure_comes_with_the_command_that_helps(of: Failure, step: str) -> None:
    assert next_step(of) == step


def test_an_image_on_a_retry_delay_has_its_reason_and_the_time_of_its_next_try() -> None:
    waits = record(failures=[retrying(key(), delay_s=600)])
    why = "io_error, next try at 2026-11-21 12:10:00 UTC"
    assert explained(waits, None, depths(retrying=1)) == (AuditStatus.PENDING, why, "")


def test_an_image_whose_retry_delay_is_over_is_on_its_way_or_lost() -> None:
    overdue = record(failures=[retrying(key(), last_at_ms=NOON_MS - 7_200_000)])
    why = "its retry delay is over: on its way, or lost"
    assert explained(overdue, None, depths(retrying=1)) == (AuditStatus.PENDING, why, AUDIT)
    why = "waiting in its queue, or being processed"
    assert explained(overdue, None, depths(held=1)) == (AuditStatus.PENDING, why, "")


def test_the_record_of_a_retry_delay_is_history_once_the_image_is_stored() -> None:
    stored = record(outputs=[output(key())], failures=[retrying(key()), retrying(key(revision=1))])
    assert stored.open_failures == [retrying(key(revision=1))]
