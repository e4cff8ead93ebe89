"""Which commands create the database, and what a person reads about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workers.cli.conftest import Panopticon

READING = (
    "status",
    "search cat",
    "search rebuild",
    "show a",
    "audit",
    "dead list",
    "dead show a",
    "models list",
    "models show tagger@1",
    "models history tagger",
    "models shadow tagger@1",
    "policy show tagger@1",
    "policy history tagger@1",
    "backfill list",
    "backfill show a",
    "backfill pause a",
    "erase --ids - --yes",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of data of a person who has not used the program yet."""
    monkeypatch.delenv("PANOPTICON_DATABASE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.parametrize("command", READING)
def test_a_command_that_only_reads_refuses_a_database_that_is_not_there(
    panopticon: Panopticon, tmp_path: Path, command: str
) -> None:
    typo = tmp_path / "hous" / "house.db"
    ran = panopticon("--database", f"sqlite:///{typo}", *command.split(), stdin=b"a\n")
    assert ran.complaint.startswith(f"no database at {typo}; panopticon index PATH… creates one")
    assert not typo.parent.exists()


def test_doctor_reports_a_database_that_is_not_there_and_creates_none(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    typo = tmp_path / "hous.db"
    ran = panopticon("--database", f"sqlite:///{typo}", "doctor")
    assert f"{typo} does not exist yet" in " ".join(ran.out.split())
    assert not typo.exists()


def test_before_the_first_use_the_cards_of_this_machine_are_listed(
    panopticon: Panopticon, home: Path
) -> None:
    ran = panopticon("models", "list")
    assert (ran.code, "tagger@1" in ran.out, home.exists()) == (0, True, False)


def test_the_default_database_is_named_when_it_is_created_and_not_later(
    panopticon: Panopticon, home: Path
) -> None:
    new = home / "panopticon" / "panopticon.db"
    assert panopticon("models", "add", "quality@1").err == f"new database: {new}\n"
    assert panopticon("models", "add", "tagger@1").err == ""


def test_a_database_that_the_person_names_is_not_named_again(panopticon: Panopticon, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'own.db'}"
    assert panopticon("--database", url, "models", "add", "quality@1").err == ""
    assert (tmp_path / "own.db").exists()


def test_only_its_owner_can_read_a_new_database(panopticon: Panopticon, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        panopticon("--database", f"sqlite:///{tmp_path / 'own.db'}", "models", "add", "quality@1")
    finally:
        os.umask(before)
    assert oct((tmp_path / "own.db").stat().st_mode & 0o777) == "0o600"
