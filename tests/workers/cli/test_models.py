"""`panopticon models`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from panopticon.cards_check import CheckLine
from panopticon.models import find_card
from panopticon.outputs import VersionName
from tests.contracts.examples import QUALITY, TAGGER
from tests.workers.cli.conftest import House, Panopticon


def test_every_card_is_listed_with_its_state(panopticon: Panopticon, house: House) -> None:
    house.register(TAGGER)
    listed = {
        model["name"]: model["state"] for model in panopticon("models", "list", "--json").json["models"]
    }
    assert (listed["tagger@1"], listed["quality@1"]) == ("active", None)


def test_a_registered_version_without_a_card_is_listed(panopticon: Panopticon, house: House) -> None:
    house.register(TAGGER)
    entry = house.store.registry.read("tagger")
    assert entry is not None
    stranger = replace(entry, model="stranger")
    assert house.store.registry.swap(None, stranger)
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


def test_one_card_is_shown_whole(panopticon: Panopticon, house: House) -> None:
    house.register(QUALITY)
    lines = [" ".join(line.split()) for line in panopticon("models", "show", "quality@1").out.splitlines()]
    assert f"digest {find_card(QUALITY).digest}" in lines
    assert "state active, policy 1" in lines
    told = panopticon("models", "show", "quality@1", "--json").json
    assert told["card"]["output"]["names"][0] == "sharpness"


def lines(*checks: CheckLine) -> Iterator[CheckLine]:
    yield from checks


HOLDS = CheckLine(what="labels", ok=True, detail="5 elements")
SKIPPED = CheckLine(what="coffee.png", ok=True, skipped=True, detail="skimage is not installed")
BROKEN = CheckLine(what="weights", ok=False, detail="sha256 differs")


@pytest.mark.parametrize(
    ("checks", "code", "end"),
    [
        ((HOLDS, SKIPPED), 0, "quality@1 holds."),
        ((HOLDS, BROKEN), 1, "quality@1 does not hold: 1 line failed."),
    ],
)
def test_check_tells_line_by_line_what_holds(
    panopticon: Panopticon,
    monkeypatch: pytest.MonkeyPatch,
    checks: tuple[CheckLine, ...],
    code: int,
    end: str,
) -> None:
    monkeypatch.setattr("workers.cli.models.check_card", lambda card, **_: lines(*checks))
    ran = panopticon("models", "check", "quality@1")
    marks = [line[0] for line in ran.out.splitlines()[:-1]]
    assert (ran.code, ran.out.splitlines()[-1]) == (code, end)
    assert marks == ["✓" if check is HOLDS else "–" if check is SKIPPED else "✗" for check in checks]
    told = panopticon("models", "check", "quality@1", "--json")
    assert (told.code, told.json["ok"], len(told.json["lines"])) == (code, code == 0, len(checks))


@pytest.mark.parametrize("command", ["show", "check"])
def test_an_unknown_model_is_one_line(panopticon: Panopticon, command: str) -> None:
    complaint = panopticon("models", command, "nobody@1").complaint
    assert complaint.startswith("unknown model version nobody@1; known: ")
    assert str(VersionName(model="tagger", version=1)) in complaint


def test_a_missing_folder_of_cards_is_one_line(panopticon: Panopticon) -> None:
    complaint = panopticon("--set", "models_dir=nowhere", "models", "list").complaint
    assert complaint == "no folder with model cards at nowhere"
