"""Numbers, ranges and folders that no command can work with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.examples import QUALITY
from tests.house import House
from tests.workers.cli.conftest import Panopticon


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("search --min-probability nan", ("--min-probability", "nan")),
        ("status --watch --every NaN", ("--every", "NaN")),
        ("status --watch --every inf", ("--every", "inf")),
        ("search --score sharpness=nan..", ("--score", "sharpness=nan..")),
        ("search --score sharpness=2..1", ("sharpness=2..1", "2 is greater than 1", "sharpness=1..2")),
        ("--set dead_share=nan status", ("dead_share", "nan")),
        ("--set lease_s=inf status", ("lease_s", "inf")),
        ("--set threads=nan status", ("threads", "nan")),
        ("--set retry_delays_s=1,nan status", ("retry_delays_s", "nan")),
        ("--database sqlite:///:memory: status", ("sqlite:///:memory:", "one process", "name a file")),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_name(
    panopticon: Panopticon, house: House, arguments: str, words: tuple[str, ...]
) -> None:
    house.register(QUALITY)
    complaint = panopticon(*arguments.split()).complaint
    assert [word for word in words if word not in complaint] == []


def test_a_range_of_one_value_is_a_range(panopticon: Panopticon, house: House) -> None:
    house.register(QUALITY)
    assert panopticon("search", "--score", "sharpness=1..1").code == 0


@pytest.mark.parametrize("command", ["status", "show x.jpg", "--config x.toml show x.jpg"])
def test_a_current_folder_that_was_deleted_is_one_line(
    panopticon: Panopticon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert (
        panopticon(*command.split()).complaint == "the current folder was deleted; change to another one (cd)"
    )
