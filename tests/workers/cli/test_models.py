"""`panopticon models`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from panopticon.handover.check_card import CheckLine
from panopticon.models import find_card
from panopticon.registry import transitions
from panopticon.registry.records import ReportRecord
from panopticon.results.outputs import VersionName
from tests.contracts.examples import NOON_MS, QUALITY, TAGGER
from tests.house import AUTHOR, House
from tests.workers.cli.conftest import Panopticon


def test_every_card_is_listed_with_its_state(panopticon: Panopticon, house: House) -> None:
    house.register(TAGGER)
    listed = {
        model["name"]: model["state"] for model in panopticon("models", "list", "--json").json["models"]
    }
    assert (listed["tagger@1"], listed["quality@1"]) == ("active", None)


def test_a_registered_version_without_a_card_is_listed(panopticon: Panopticon, house: House) -> None:
    house.register(TAGGER)
    assert house.store.registry.swap(None, replace(house.model("tagger"), model="stranger"))
    shown = panopticon("models", "list").out
    line = next(line for line in shown.splitlines() if line.startswith("stranger@1"))
    assert line.rstrip().endswith("no card on this machine")


def test_people_see_the_digest_and_the_summary(panopticon: Panopticon) -> None:
    card = find_card(QUALITY)
    shown = panopticon("models", "list").out
    line = next(line for line in shown.splitlines() if line.startswith("quality@1"))
    assert line.rstrip().split(maxsplit=4) == [
        "quality@1",
        "not",
        "registered",
        card.digest[:12],
        card.summary,
    ]


def test_a_card_is_shown_with_its_digest_and_state(panopticon: Panopticon, house: House) -> None:
    house.register(QUALITY)
    lines = [" ".join(line.split()) for line in panopticon("models", "show", "quality@1").out.splitlines()]
    assert f"digest {find_card(QUALITY).digest}" in lines
    assert "state active, policy 1" in lines
    shown_json = panopticon("models", "show", "quality@1", "--json").json
    assert shown_json["card"]["output"]["names"][0] == "sharpness"


def stranger(house: House, *, card_sha256: str | None = None) -> None:
    """Register a version whose card is in the store and not on this machine."""
    house.register(TAGGER)
    card = find_card(TAGGER).model_copy(update={"name": "stranger", "summary": "From elsewhere"})
    kept = house.store.archive.put(card.archived_bytes) if card_sha256 is None else card_sha256
    version = replace(house.version(TAGGER), card_sha256=kept)
    entry = replace(house.model("tagger"), model="stranger", versions=(version,))
    assert house.store.registry.swap(None, entry)


def test_a_version_without_a_card_on_this_machine_is_shown_from_the_store(
    panopticon: Panopticon, house: House
) -> None:
    stranger(house)
    shown = panopticon("models", "show", "stranger@1").out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines[0] == "stranger@1 · From elsewhere"
    assert lines[-1] == "Next: panopticon models history stranger"
    assert "card none on this machine; shown from the store" in lines
    assert "output 1,000 × float16" in lines
    assert f"digest {find_card(TAGGER).digest}" in lines
    shown_json = panopticon("models", "show", "stranger@1", "--json").json
    assert (shown_json["card_from"], shown_json["folder"], shown_json["elements"]) == ("archive", None, 1000)
    assert shown_json["digest"] == shown_json["registered_digest"] == find_card(TAGGER).digest
    assert shown_json["card"]["summary"] == "From elsewhere"


def test_a_version_without_any_card_is_one_line(panopticon: Panopticon, house: House) -> None:
    stranger(house, card_sha256="")
    assert panopticon("models", "show", "stranger@1").complaint == (
        "stranger@1 has a card neither on this machine nor in the store; start a worker of it once, which "
        "keeps it"
    )


def test_an_archived_card_of_another_release_is_one_line(panopticon: Panopticon, house: House) -> None:
    kept = house.store.archive.put(b'{"card": {"name": "stranger", "version": 1, "aura": 3}, "labels": []}')
    stranger(house, card_sha256=kept)
    complaint = panopticon("models", "show", "stranger@1").complaint
    assert complaint.startswith("the card that the store keeps of stranger@1 is of another release: ")


def test_one_version_is_shown_with_its_policies_and_its_latest_comparison(
    panopticon: Panopticon, house: House
) -> None:
    house.register(TAGGER)
    house.put_policy(TAGGER, "threshold = 0.2\n")
    for made in (report(version=2, at_ms=NOON_MS), report(version=3, at_ms=NOON_MS - 1)):
        house.change(TAGGER, partial(transitions.keep_report, report=made, author=AUTHOR))
    lines = [" ".join(line.split()) for line in panopticon("models", "show", "tagger@1").out.splitlines()]
    assert "state active, policy 2" in lines
    assert "policies 2 so far: panopticon policy history tagger@1" in lines
    assert "compared tagger@1 and @2, 2026-11-21 12:00:00 UTC, 1,200 images: agreement 0.98" in lines
    shown_json = panopticon("models", "show", "tagger@1", "--json").json
    assert (shown_json["card_from"], shown_json["policy_number"], shown_json["policies"]) == ("machine", 2, 2)
    assert (shown_json["report"]["version"], shown_json["report"]["figures"]) == (2, {"agreement": 0.98})


def report(*, version: int, at_ms: int) -> ReportRecord:
    return ReportRecord(
        at_ms=at_ms,
        by="ann",
        former=1,
        former_digest="d1",
        former_policy_number=1,
        version=version,
        digest="d2",
        policy_number=1,
        ids_sha256="",
        images=1200,
        figures={"agreement": 0.98},
        report_sha256="",
    )


def lines(*checks: CheckLine) -> Iterator[CheckLine]:
    yield from checks


PASSED = CheckLine(what="labels", ok=True, detail="5 elements")
SKIPPED = CheckLine(what="coffee.png", ok=True, skipped=True, detail="skimage is not installed")
FAILED = CheckLine(what="weights", ok=False, detail="sha256 differs")


@pytest.mark.parametrize(
    ("checks", "code", "end"),
    [
        ((PASSED, SKIPPED), 0, "quality@1: no check failed."),
        ((PASSED, FAILED), 1, "quality@1: 1 check failed."),
    ],
)
def test_check_prints_one_line_for_each_check_and_a_summary(
    panopticon: Panopticon,
    monkeypatch: pytest.MonkeyPatch,
    checks: tuple[CheckLine, ...],
    code: int,
    end: str,
) -> None:
    monkeypatch.setattr("workers.cli.models.view.check_card", lambda card, **_: lines(*checks))
    ran = panopticon("models", "check", "quality@1")
    marks = [line[0] for line in ran.out.splitlines()[:-1]]
    assert (ran.code, ran.out.splitlines()[-1]) == (code, end)
    assert marks == ["✓" if check is PASSED else "–" if check is SKIPPED else "✗" for check in checks]
    ran = panopticon("models", "check", "quality@1", "--json")
    assert (ran.code, ran.json["ok"], len(ran.json["lines"])) == (code, code == 0, len(checks))


@pytest.mark.parametrize("command", ["show", "check"])
def test_an_unknown_model_is_one_line(panopticon: Panopticon, command: str) -> None:
    complaint = panopticon("models", command, "nobody@1").complaint
    assert complaint.startswith("unknown model version nobody@1; known: ")
    assert str(VersionName(model="tagger", version=1)) in complaint


def test_a_missing_folder_of_cards_is_one_line(panopticon: Panopticon) -> None:
    complaint = panopticon("--set", "models_dir=nowhere", "models", "list").complaint
    assert complaint == "no folder with model cards at nowhere"
