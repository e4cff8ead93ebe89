"""A model's record says which version is active, since when and by whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from panopticon.messages import EPOCH, ModelActivated, ModelDeactivated
from panopticon.registry import transitions
from panopticon.registry.notices import notice_of
from panopticon.registry.records import ModelEntry, VersionState
from panopticon.registry.transitions import Author


def author(by: str, *, at_s: int) -> Author:
    return Author(by=by, at_ms=at_s * 1000, reason=f"{by} wanted it")


def with_version(entry: ModelEntry, number: int, state: VersionState, *, at_s: int) -> ModelEntry:
    by = author("ann", at_s=at_s)
    version = transitions.new_version(
        number, digest="d", labels=(), policy_toml="", card_sha256="", author=by
    )
    return transitions.add(entry, replace(version, state=state), by)


NEW = transitions.new_model("tagger", "tagging")
FIRST = with_version(NEW, 1, VersionState.ACTIVE, at_s=1)
BOTH = with_version(FIRST, 12, VersionState.SHADOW, at_s=2)
SWITCHED = transitions.activate(BOTH, 12, author("bob", at_s=3))
NONE = transitions.deactivate(SWITCHED, author("eve", at_s=4))


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def activated(entry: ModelEntry) -> ModelActivated:
    notice = notice_of(entry)
    assert isinstance(notice, ModelActivated)
    return notice


def test_a_model_without_an_active_version_ever_has_no_notice() -> None:
    assert notice_of(with_version(NEW, 1, VersionState.SHADOW, at_s=1)) is None


def test_a_first_version_is_active_since_its_registration() -> None:
    notice = activated(BOTH)
    assert (notice.version, notice.activated_at, notice.activated_by) == (1, at(1), "ann")


def test_a_switch_is_reported_with_its_author() -> None:
    notice = activated(SWITCHED)
    assert (notice.version, notice.former_version, notice.activated_at) == (12, 1, at(3))
    assert (notice.activated_by, notice.reason) == ("bob", "bob wanted it")


def test_a_later_change_of_the_record_raises_the_serial_alone() -> None:
    changed = transitions.put_policy(SWITCHED, 12, "x = 1", author("dan", at_s=9))
    assert activated(changed) == activated(SWITCHED).model_copy(update={"serial": changed.serial})
    assert changed.serial > SWITCHED.serial


def test_a_deactivation_names_the_version_that_was_active() -> None:
    assert notice_of(NONE) == ModelDeactivated(
        model="tagger",
        serial=NONE.serial,
        former_version=12,
        deactivated_at=at(4),
        deactivated_by="eve",
        reason="eve wanted it",
    )


def test_a_record_without_a_history_has_a_notice_too() -> None:
    notice = activated(replace(FIRST, history=()))
    assert (notice.version, notice.activated_at, notice.activated_by) == (1, EPOCH, "unknown")
