"""Commands that read a lost search index: one line with the way out, and nothing is created."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.examples import TAGGER
from tests.house import House
from tests.workers.cli.conftest import Panopticon


@pytest.fixture
def lost(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Path:
    """The path of the index of the settings, which was deleted."""
    house.register(TAGGER)
    house.plant("a", outputs={TAGGER: {}}, document=False)
    monkeypatch.setenv("PANOPTICON_SEARCH", f"sqlite:///{tmp_path / 'search.db'}")
    return tmp_path / "search.db"


@pytest.mark.parametrize(
    "words",
    [
        ("index", "."),
        ("search", "cat"),
        ("search", "--order", "newest", "--json"),
        ("show", "a"),
        ("audit", "--all"),
        ("audit", "--ids", "-", "--fix"),
        ("erase", "--ids", "-", "--check"),
        ("erase", "--ids", "-", "--yes"),
        ("backfill", "--model", "tagger@1", "--from-search"),
        ("ids", "add", "--from-search"),
        ("policy", "preview", "tagger@1", "policy.toml"),
    ],
    ids=" ".join,
)
def test_a_command_that_reads_a_lost_index_is_one_line_with_the_way_out(
    panopticon: Panopticon, lost: Path, words: tuple[str, ...]
) -> None:
    Path("policy.toml").write_text("top_k = 5\n")
    ran = panopticon(*words, stdin=b"a\n")
    (line,) = ran.err.splitlines()
    assert (ran.code, ran.out) == (69, "")
    assert line.startswith(f"panopticon: search unavailable: {lost}: there is no such file")
    assert "to rebuild it: panopticon search rebuild --all" in line
    assert not lost.exists()


def test_the_rest_of_a_rebuild_does_not_replace_a_lost_index(panopticon: Panopticon, lost: Path) -> None:
    complaint = panopticon("search", "rebuild", "--all", "--after", "a").complaint
    assert complaint == "--after: no interrupted rebuild is there to go on with; begin without it"
    assert not lost.exists()


def test_the_way_out_restores_what_was_lost(panopticon: Panopticon, house: House, lost: Path) -> None:
    assert panopticon("search", "rebuild", "--all").code == 0
    assert panopticon("audit", "--all").code == 0
    (found,) = panopticon("search", "--order", "newest", "--json").json["images"]
    assert found["image_id"] == "a"
