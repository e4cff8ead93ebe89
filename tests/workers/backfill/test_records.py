"""There is one record for each list and version, and no concurrent change of it is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from panopticon.errors import UsageError
from panopticon.interfaces import Backfills
from panopticon.results.backfills import BackfillState
from tests.contracts.backfills import backfill
from tests.contracts.examples import NOON_MS, TAGGER
from tests.house import House
from workers.backfill.records import (
    BackfillRequest,
    all_backfills,
    change_state,
    has_owner,
    known_backfill,
    of_interest,
    take_up,
)

DAY_MS = 86_400_000
LATER_MS = NOON_MS + 1000


@pytest.fixture
def backfills(house: House) -> Backfills:
    return house.store.backfills


def wanted(**fields: object) -> BackfillRequest:
    usual = BackfillRequest(
        version=TAGGER, source="ids.txt", ids_sha256="5f" * 32, total=3, by="me", owner="process 1"
    )
    return replace(usual, **fields)  # type: ignore[arg-type]


def test_a_new_backfill_is_named_after_its_version_and_list(backfills: Backfills) -> None:
    begun = take_up(wanted(), backfills, now_ms=NOON_MS)
    assert (begun.name, begun.state, begun.cursor) == ("tagger@1-5f5f5f5f", BackfillState.RUNNING, 0)
    assert backfills.read(begun.name) == begun
    assert wanted(ids_sha256="").name == "tagger@1-search"


def test_an_unfinished_backfill_continues_with_another_owner(backfills: Backfills) -> None:
    begun = take_up(wanted(), backfills, now_ms=NOON_MS)
    backfills.swap(begun, begun.changed(at_ms=NOON_MS, cursor=2, after="b"))
    taken = take_up(wanted(owner="process 2"), backfills, now_ms=LATER_MS)
    assert (taken.cursor, taken.owner, taken.heartbeat_at_ms) == (2, "process 2", LATER_MS)
    assert taken.begun_at_ms == NOON_MS


def test_a_paused_backfill_stays_paused_when_its_process_starts_again(backfills: Backfills) -> None:
    name = take_up(wanted(), backfills, now_ms=NOON_MS).name
    change_state(name, BackfillState.PAUSED, backfills, now_ms=NOON_MS)
    assert take_up(wanted(), backfills, now_ms=LATER_MS).state is BackfillState.PAUSED


@pytest.mark.parametrize("ended", [BackfillState.DONE, BackfillState.CANCELLED])
def test_an_ended_backfill_starts_from_the_beginning(backfills: Backfills, ended: BackfillState) -> None:
    begun = take_up(wanted(), backfills, now_ms=NOON_MS)
    backfills.swap(begun, begun.changed(at_ms=NOON_MS, cursor=3, state=ended))
    again = take_up(wanted(), backfills, now_ms=LATER_MS)
    assert (again.cursor, again.state, again.begun_at_ms) == (0, BackfillState.RUNNING, LATER_MS)


def test_a_name_in_use_by_another_list_is_refused_until_that_has_ended(backfills: Backfills) -> None:
    take_up(wanted(ids_sha256="5f5f5f5f" + "0" * 56), backfills, now_ms=NOON_MS)
    with pytest.raises(UsageError, match=r"another list, ids\.txt.*panopticon backfill cancel"):
        take_up(wanted(), backfills, now_ms=NOON_MS)


def test_pausing_and_resuming_may_be_repeated(backfills: Backfills) -> None:
    name = take_up(wanted(), backfills, now_ms=NOON_MS).name
    for state in (BackfillState.PAUSED, BackfillState.PAUSED, BackfillState.RUNNING, BackfillState.RUNNING):
        change_state(name, state, backfills, now_ms=LATER_MS)
        assert known_backfill(name, backfills).state is state


def test_an_ended_backfill_is_neither_resumed_nor_paused(backfills: Backfills) -> None:
    name = take_up(wanted(), backfills, now_ms=NOON_MS).name
    change_state(name, BackfillState.CANCELLED, backfills, now_ms=LATER_MS)
    with pytest.raises(UsageError, match="is cancelled; to start it again, repeat its command"):
        change_state(name, BackfillState.RUNNING, backfills, now_ms=LATER_MS)


def test_an_unknown_backfill_is_refused_with_the_known_names(backfills: Backfills) -> None:
    with pytest.raises(UsageError, match="unknown backfill 'x'; known: none"):
        known_backfill("x", backfills)
    take_up(wanted(), backfills, now_ms=NOON_MS)
    with pytest.raises(UsageError, match="known: tagger@1-5f5f5f5f"):
        known_backfill("x", backfills)


def test_the_latest_comes_first_and_one_that_ended_long_ago_is_left_out(backfills: Backfills) -> None:
    hour_ms = 3_600_000
    for name, state, changed_at_ms in (
        ("old", BackfillState.DONE, NOON_MS - hour_ms - 1),
        ("late", BackfillState.DONE, NOON_MS - hour_ms),
        ("open", BackfillState.PAUSED, NOON_MS - 5 * hour_ms),
    ):
        record = replace(backfill(name), state=state, changed_at_ms=changed_at_ms, begun_at_ms=changed_at_ms)
        backfills.swap(None, record)
    records = all_backfills(backfills)
    assert [record.name for record in records] == ["late", "old", "open"]
    assert [record.name for record in of_interest(records, now_ms=NOON_MS)] == ["late", "open"]
    # The clock was set back by a day since.
    assert [record.name for record in of_interest(records, now_ms=NOON_MS - DAY_MS)] == ["open"]


def test_a_backfill_without_a_recent_heartbeat_has_no_owner() -> None:
    record = replace(backfill(), heartbeat_at_ms=NOON_MS)
    assert has_owner(record, now_ms=NOON_MS + 30_000)
    assert not has_owner(record, now_ms=NOON_MS + 30_001)
    # The clock was set back by a day since.
    assert not has_owner(record, now_ms=NOON_MS - DAY_MS)
    assert has_owner(record, now_ms=NOON_MS - 30_000)
    assert not has_owner(replace(record, state=BackfillState.DONE), now_ms=NOON_MS)
