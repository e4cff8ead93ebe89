"""`panopticon models add`, `shadow`, `activate`, `rollback`, `deactivate`, `retire` and `history`."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.house import House
from tests.panopticon.null_card import NULL_CARD
from tests.workers.cli.conftest import Panopticon, Ran

ROLLED_BACK = "colour@1 answers queries from now on; uploads still reach colour@2."


class Colours:
    """Three versions of one model, whose cards are in a folder of their own."""

    def __init__(self, panopticon: Panopticon, folder: Path) -> None:
        self._panopticon = panopticon
        self._folder = folder
        for number in (1, 2, 3):
            place = folder / f"colour{number}"
            place.mkdir()
            (place / "card.toml").write_text(NULL_CARD.replace("version = 1", f"version = {number}"))

    def __call__(self, *words: str, stdin: bytes = b"", broker: str = "") -> Ran:
        settings = ("--set", f"models_dir={self._folder}", "--set", f"broker={broker}")
        return self._panopticon(*settings, "models", *words, stdin=stdin)

    def side_by_side(self) -> None:
        for name in ("colour@1", "colour@2"):
            self("add", name)
            self("shadow", name)
        self("activate", "colour@1")


@pytest.fixture
def models(panopticon: Panopticon, house: House, tmp_path: Path) -> Colours:
    folder = tmp_path / "models"
    folder.mkdir()
    return Colours(panopticon, folder)


def test_a_new_version_becomes_active_in_three_commands(models: Colours) -> None:
    added = models("add", "colour@1")
    assert added.out.splitlines() == [
        "colour@1 is registered.",
        "Next: panopticon models shadow colour@1",
    ]
    assert models("shadow", "colour@1").out.startswith("colour@1 is a shadow: uploads reach it.")
    assert models("activate", "colour@1").out == "colour@1 answers queries from now on.\n"


def test_a_rollback_prints_which_version_answers_and_which_uploads_still_reach(models: Colours) -> None:
    models.side_by_side()
    models("activate", "colour@2", "--force", "--reason", "measured elsewhere")
    shown = models("rollback", "colour", "--reason", "wrong birds").out.splitlines()
    assert shown[0] == ROLLED_BACK


def test_a_switch_that_cannot_be_announced_is_done_and_reported_as_done(models: Colours) -> None:
    """Otherwise an operator would repeat the rollback and undo it."""
    models.side_by_side()
    models("activate", "colour@2", "--force", "--reason", "measured elsewhere")
    ran = models("rollback", "colour", broker="amqp://127.0.0.1:1")
    assert (ran.code, ran.out.splitlines()[0]) == (0, ROLLED_BACK)
    assert "the switch is made, but could not be announced: queue unavailable: 127.0.0.1:1/" in ran.err


def test_a_command_leaves_no_thread_behind_though_its_broker_is_down(models: Colours) -> None:
    models.side_by_side()
    before = set(threading.enumerate())
    models("activate", "colour@2", "--force", "--reason", "measured", broker="amqp://127.0.0.1:1")
    assert set(threading.enumerate()) == before


def test_the_history_lists_who_did_what_and_why(models: Colours) -> None:
    models.side_by_side()
    models("activate", "colour@2", "--force", "--reason", "finer colours")
    events = models("history", "colour", "--json").json["history"]
    assert [event["what"] for event in events] == [
        "registered colour@1",
        "shadow colour@1",
        "registered colour@2",
        "shadow colour@2",
        "activated colour@1",
        "activated colour@2 (was colour@1)",
    ]
    assert events[-1]["reason"] == "finer colours"
    assert "finer colours" in models("history", "colour").out


def test_a_version_is_compared_with_a_deactivated_one_before_it_is_activated(models: Colours) -> None:
    models.side_by_side()
    models("deactivate", "colour")
    refused = models("activate", "colour@2").complaint
    assert refused.startswith("colour@2 is not activated: version 2 was never compared with version 1.")
    models("activate", "colour@2", "--force", "--reason", "measured elsewhere")
    assert models("rollback", "colour").out.startswith(ROLLED_BACK)


def test_a_narrow_terminal_shows_every_reason(
    models: Colours, panopticon: Panopticon, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.side_by_side()
    models("activate", "colour@2", "--force", "--reason", "finer colours")
    monkeypatch.setattr("workers.cli.session.PIPED_WIDTH", 60)
    assert "finer" in panopticon("models", "history", "colour").out


def test_deactivating_prints_the_way_back(models: Colours) -> None:
    models.side_by_side()
    shown = models("deactivate", "colour").out.splitlines()
    assert shown[0] == "No version of colour answers queries; uploads still reach colour@1."
    assert models("rollback", "colour").out.startswith("colour@1 answers queries from now on")


def test_retiring_asks_for_confirmation(models: Colours) -> None:
    models.side_by_side()
    assert models("retire", "colour@2", stdin=b"n\n").code == 130
    assert models("retire", "colour@2", "--yes").out == "colour@2 is retired.\n"
    assert models("retire", "colour@2", "--yes", "--json").json["versions"]["colour@2"] == "retired"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["activate", "colour@9"], "unknown model version colour@9; known: colour@1"),
        (["activate", "colour@3"], "colour@3 is not registered; registered: colour@1, colour@2"),
        (["activate", "colour@1"], "colour@1 is active; it answers already"),
        (["activate", "colour@2", "--force"], "--force needs --reason TEXT, which is kept in the history"),
        (["add", "colour@3", "--reason", "x" * 501], "--reason has 501 characters; at most 500 are allowed"),
        (["shadow", "colour@2"], "colour@2 is shadow; only a registered version becomes a shadow"),
        (["rollback", "tagger"], "tagger is not registered; registered: colour"),
        (["rollback", "colour"], "colour: no version was active before; there is nothing to return to"),
        (["retire", "colour@1", "--yes"], "colour@1 is active; activate another version or deactivate it"),
        (["add", "colour@1"], "colour@1 is registered already"),
        (["history", "tagger"], "tagger is not registered; registered: colour"),
        (["shadow", "colour"], "no model version: 'colour'"),
    ],
)
def test_a_mistake_is_one_line(models: Colours, words: list[str], complaint: str) -> None:
    models.side_by_side()
    assert models(*words).complaint.startswith(complaint)


def test_without_a_fresh_report_only_force_activates(models: Colours) -> None:
    models.side_by_side()
    complaint = models("activate", "colour@2").complaint
    assert complaint == (
        "colour@2 is not activated: version 2 was never compared with version 1. Compare them with "
        "panopticon models diff colour@1 colour@2, or activate it anyway with --force --reason TEXT"
    )
    forced = models("activate", "colour@2", "--force", "--reason", "measured elsewhere")
    assert forced.out.startswith("colour@2 answers queries from now on")
