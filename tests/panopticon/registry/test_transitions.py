"""The states a version may go through, and what the registry entry records of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.errors import UsageError
from panopticon.registry import transitions
from panopticon.registry.records import (
    ModelEntry,
    ReportRecord,
    VersionEntry,
    VersionState,
    decode_entry,
    encode_entry,
)
from panopticon.registry.transitions import Author

ANN = Author(by="ann@host", at_ms=5, reason="finer labels")


def version(number: int, state: VersionState = VersionState.REGISTERED) -> VersionEntry:
    made = transitions.new_version(
        number, digest=f"d{number}", labels=("cat",), policy_toml="top_k = 3\n", card_sha256="c", author=ANN
    )
    return replace(made, state=state)


def model(**states: VersionState) -> ModelEntry:
    """`model(v1=VersionState.ACTIVE)`."""
    versions = tuple(version(int(name[1:]), state) for name, state in states.items())
    active = next((v.version for v in versions if v.state is VersionState.ACTIVE), None)
    return replace(transitions.new_model("tagger", "tagging"), versions=versions, active_version=active)


ACTIVE_AND_SHADOW = model(v1=VersionState.ACTIVE, v2=VersionState.SHADOW)


def states(entry: ModelEntry) -> dict[int, VersionState]:
    return {version.version: version.state for version in entry.versions}


def test_an_added_version_is_registered_and_not_active() -> None:
    entry = transitions.add(transitions.new_model("tagger", "tagging"), version(1), ANN)
    assert (states(entry), entry.active_version) == ({1: VersionState.REGISTERED}, None)
    assert entry.history[-1].what == "registered tagger@1"


def test_a_version_number_cannot_be_registered_twice() -> None:
    with pytest.raises(UsageError, match="tagger@1 is registered already"):
        transitions.add(model(v1=VersionState.ACTIVE), version(1), ANN)


def test_a_registered_version_becomes_a_shadow() -> None:
    entry = transitions.shadow(model(v1=VersionState.ACTIVE, v2=VersionState.REGISTERED), 2, ANN)
    assert states(entry)[2] is VersionState.SHADOW


def test_activating_a_shadow_makes_the_former_version_a_shadow() -> None:
    entry = transitions.activate(ACTIVE_AND_SHADOW, 2, ANN)
    assert states(entry) == {1: VersionState.SHADOW, 2: VersionState.ACTIVE}
    assert (entry.active_version, entry.former_version) == (2, 1)


def test_an_event_records_who_did_what_when_and_why() -> None:
    event = transitions.activate(ACTIVE_AND_SHADOW, 2, ANN).history[-1]
    assert (event.by, event.at_ms, event.reason) == ("ann@host", 5, "finer labels")
    assert event.what == "activated tagger@2 (was tagger@1)"


def test_a_rollback_returns_to_the_version_before_and_a_second_one_undoes_it() -> None:
    entry = transitions.roll_back(transitions.activate(ACTIVE_AND_SHADOW, 2, ANN), ANN)
    assert states(entry) == states(ACTIVE_AND_SHADOW)
    assert transitions.roll_back(entry, ANN).active_version == 2


def test_after_a_deactivation_no_version_is_active_until_a_rollback() -> None:
    entry = transitions.deactivate(ACTIVE_AND_SHADOW, ANN)
    assert (entry.active_version, states(entry)[1]) == (None, VersionState.SHADOW)
    assert transitions.roll_back(entry, ANN).active_version == 1


def test_another_version_activated_after_a_deactivation_can_be_rolled_back() -> None:
    entry = transitions.activate(transitions.deactivate(ACTIVE_AND_SHADOW, ANN), 2, ANN)
    assert entry.former_version == 1
    assert transitions.roll_back(entry, ANN).active_version == 1


def test_a_version_reactivated_after_a_deactivation_is_not_its_own_former_version() -> None:
    entry = transitions.roll_back(transitions.deactivate(ACTIVE_AND_SHADOW, ANN), ANN)
    assert (entry.active_version, entry.former_version) == (1, None)


def test_a_shadow_without_uploads_becomes_a_registered_version_that_may_be_a_shadow_again() -> None:
    entry = transitions.stop_routing(ACTIVE_AND_SHADOW, 2, ANN)
    assert states(entry)[2] is VersionState.REGISTERED
    assert states(transitions.shadow(entry, 2, ANN)) == states(ACTIVE_AND_SHADOW)


def test_retiring_a_version_leaves_the_others_alone() -> None:
    entry = transitions.retire(ACTIVE_AND_SHADOW, 2, ANN)
    assert states(entry) == {1: VersionState.ACTIVE, 2: VersionState.RETIRED}


REFUSALS: list[tuple[Callable[[], ModelEntry], str]] = [
    (
        lambda: transitions.activate(ACTIVE_AND_SHADOW, 3, ANN),
        "tagger@3 is not registered; registered: tagger@1, tagger@2",
    ),
    (lambda: transitions.activate(ACTIVE_AND_SHADOW, 1, ANN), "tagger@1 is active; it answers already"),
    (
        lambda: transitions.activate(model(v1=VersionState.REGISTERED), 1, ANN),
        "tagger@1 is registered; first let uploads reach it: panopticon models shadow tagger@1",
    ),
    (
        lambda: transitions.activate(model(v1=VersionState.RETIRED), 1, ANN),
        "tagger@1 is retired; give it a new version number",
    ),
    (lambda: transitions.shadow(ACTIVE_AND_SHADOW, 2, ANN), "tagger@2 is shadow; only a registered version"),
    (lambda: transitions.stop_routing(ACTIVE_AND_SHADOW, 1, ANN), "tagger@1 is active, and not a shadow"),
    (lambda: transitions.roll_back(ACTIVE_AND_SHADOW, ANN), "tagger: no version was active before"),
    (
        lambda: transitions.roll_back(
            transitions.retire(transitions.activate(ACTIVE_AND_SHADOW, 2, ANN), 1, ANN), ANN
        ),
        "tagger@1 was active before, but is retired now",
    ),
    (lambda: transitions.deactivate(model(v1=VersionState.SHADOW), ANN), "tagger: no version is active"),
    (lambda: transitions.retire(ACTIVE_AND_SHADOW, 1, ANN), "tagger@1 is active; activate another version"),
    (
        lambda: transitions.retire(model(v1=VersionState.RETIRED), 1, ANN),
        "tagger@1 is retired already",
    ),
    (
        lambda: transitions.put_policy(model(v1=VersionState.RETIRED), 1, "", ANN),
        "tagger@1 is retired; its policy",
    ),
]


@pytest.mark.parametrize(("step", "refusal"), REFUSALS)
def test_a_step_out_of_order_is_refused_with_advice(step: Callable[[], ModelEntry], refusal: str) -> None:
    with pytest.raises(UsageError) as refused:
        step()
    assert str(refused.value).startswith(refusal)


def test_each_policy_has_the_next_number_and_all_are_kept() -> None:
    entry = transitions.put_policy(ACTIVE_AND_SHADOW, 1, "top_k = 4\n", ANN)
    entry = transitions.put_policy(entry, 1, "top_k = 3\n", ANN)
    changed = entry.version(1)
    assert changed is not None
    assert (changed.policy_number, changed.policy_toml) == (3, "top_k = 3\n")
    assert [(policy.number, policy.toml) for policy in changed.policies] == [
        (1, "top_k = 3\n"),
        (2, "top_k = 4\n"),
        (3, "top_k = 3\n"),
    ]


def test_an_entry_of_a_release_without_policy_history_has_its_present_policy() -> None:
    fields = json.loads(encode_entry(ACTIVE_AND_SHADOW))
    for written in fields["versions"]:
        del written["policies"]
    entry = transitions.put_policy(decode_entry(json.dumps(fields).encode()), 1, "top_k = 4\n", ANN)
    changed = entry.version(1)
    assert changed is not None
    assert [(policy.number, policy.toml) for policy in changed.policies] == [
        (1, "top_k = 3\n"),
        (2, "top_k = 4\n"),
    ]


def report(former: int, to: int, at_ms: int = 5) -> ReportRecord:
    return ReportRecord(
        at_ms=at_ms,
        by="ann@host",
        former=former,
        former_digest="d1",
        former_policy_number=1,
        version=to,
        digest="d2",
        policy_number=1,
        ids_sha256="5",
        images=100,
        figures={"agreement": 0.9},
        report_sha256="6",
    )


def test_the_latest_report_of_each_pair_is_kept() -> None:
    entry = ACTIVE_AND_SHADOW
    for kept in (report(1, 2), report(2, 1), report(1, 2, at_ms=6)):
        entry = transitions.keep_report(entry, kept, ANN)
    assert entry.reports == (report(2, 1), report(1, 2, at_ms=6))


STEPS = st.sampled_from(
    [
        lambda entry: transitions.shadow(entry, 2, ANN),
        lambda entry: transitions.activate(entry, 1, ANN),
        lambda entry: transitions.activate(entry, 2, ANN),
        lambda entry: transitions.roll_back(entry, ANN),
        lambda entry: transitions.deactivate(entry, ANN),
        lambda entry: transitions.stop_routing(entry, 1, ANN),
        lambda entry: transitions.retire(entry, 1, ANN),
        lambda entry: transitions.retire(entry, 2, ANN),
        lambda entry: transitions.put_policy(entry, 2, "", ANN),
        lambda entry: transitions.keep_report(entry, report(1, 2), ANN),
    ]
)


@given(st.lists(STEPS, max_size=20))
def test_after_any_sequence_of_steps_the_entry_is_consistent(
    steps: list[Callable[[ModelEntry], ModelEntry]],
) -> None:
    entry, done = model(v1=VersionState.ACTIVE, v2=VersionState.REGISTERED), 0
    for step in steps:
        try:
            entry = step(entry)
        except UsageError:
            continue
        done += 1
        active = [number for number, state in states(entry).items() if state is VersionState.ACTIVE]
        assert active == ([] if entry.active_version is None else [entry.active_version])
        assert (entry.serial, len(entry.history)) == (done, done)
        assert decode_entry(encode_entry(entry)) == entry
