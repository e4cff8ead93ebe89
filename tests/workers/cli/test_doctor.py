"""`panopticon doctor`: one line for each check, and an exit code for scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.messages import Lane
from tests.contracts.examples import TAGGER
from tests.house import House
from tests.workers.cli.conftest import Panopticon, Ran


@pytest.fixture(autouse=True)
def one_small_model(house: House, monkeypatch: pytest.MonkeyPatch, cache_dir: Path) -> None:
    monkeypatch.setenv("PANOPTICON_CACHE_DIR", str(cache_dir))
    house.register()


def health(ran: Ran) -> dict[str, str]:
    return {line["check"]: line["health"] for line in ran.json["checks"]}


def test_exit_code_0_if_no_check_fails(panopticon: Panopticon) -> None:
    ran = panopticon("doctor", "--json")
    assert (ran.code, ran.json["ok"]) == (0, True)
    assert {"database: integrity", "broker: bindings", "model tagger@1: card"} <= set(health(ran))


def test_people_see_a_line_for_each_check_and_a_total(panopticon: Panopticon) -> None:
    ran = panopticon("doctor")
    lines = ran.out.splitlines()
    assert any(line.split()[:3] == ["ok", "database:", "integrity"] for line in lines)
    assert " checks: 0 failed, " in lines[-1]


def test_a_warning_is_not_a_failure(panopticon: Panopticon, house: House) -> None:
    house.broker.undeliverable().submit([b"x"], Lane.LIVE)
    ran = panopticon("doctor", "--json")
    assert (ran.code, health(ran)["broker: undeliverable"]) == (0, "warn")


def test_a_failure_is_exit_code_1_and_shows_how_to_fix_it(panopticon: Panopticon, house: House) -> None:
    house.broker.topology.unbind(TAGGER)
    ran = panopticon("doctor")
    assert ran.code == 1
    (line,) = [line for line in ran.out.splitlines() if line.startswith("fail")]
    assert "uploads do not reach tagger@1 → start a worker" in line


def test_a_password_in_a_url_is_never_shown(panopticon: Panopticon) -> None:
    ran = panopticon("--set", "search=nowhere://ann:s3cr3t@host/x?password=s3cr3t", "doctor")
    assert ran.code == 1
    assert "s3cr3t" not in ran.out + ran.err


def test_settings_that_cannot_be_read_are_one_line(panopticon: Panopticon) -> None:
    assert panopticon("--set", "brokr=x", "doctor").complaint.startswith("unknown setting 'brokr'")
