"""`panopticon tokens`, and the token that a worker sends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.cli.conftest import Panopticon
from workers.serving.access.access import Access
from workers.serving.access.token_file import Scope


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def test_a_token_is_all_that_standard_output_gets_and_it_is_valid(panopticon: Panopticon, file: Path) -> None:
    ran = panopticon("--set", f"tokens_file={file}", "tokens", "add", "app", "--scope", "read")
    assert ran.code == 0
    access = Access(file)
    access.open()
    assert access.check(f"Bearer {ran.out.rstrip()}", Scope.READ, address="").name == "app"
    assert ran.out.rstrip() not in ran.err
    assert "token app (read) added" in ran.err


def test_tokens_are_listed_without_what_was_hashed_and_revoked_by_name(
    panopticon: Panopticon, file: Path
) -> None:
    setting = ("--set", f"tokens_file={file}")
    panopticon(*setting, "tokens", "add", "app", "--scope", "read", "--scope", "analyze")
    panopticon(*setting, "tokens", "add", "old", "--scope", "operate", "--expires", "2999-01-01")
    listed = panopticon(*setting, "tokens", "list", "--json").json["tokens"]
    assert [(row["name"], row["scopes"], row["expires"], row["expired"]) for row in listed] == [
        ("app", ["analyze", "read"], None, False),
        ("old", ["operate"], "2999-01-01T00:00:00Z", False),
    ]
    assert "2999-01-01T00:00:00Z" in panopticon(*setting, "tokens", "list").out
    assert panopticon(*setting, "tokens", "revoke", "app").code == 0
    assert [row["name"] for row in panopticon(*setting, "tokens", "list", "--json").json["tokens"]] == ["old"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["add", "app", "--scope", "write"], "'write' is not one of 'read', 'analyze', 'operate'"),
        (["add", "app"], "missing option '--scope'"),
        (["add", "a/b", "--scope", "read"], "a token's name is"),
        (
            ["add", "app", "--scope", "read", "--expires", "2020-01-01"],
            "--expires 2020-01-01T00:00:00Z is over",
        ),
        (["add", "app", "--scope", "read", "--expires", "soon"], "invalid value for '--expires'"),
        (["list"], "no such file; panopticon tokens add"),
        (["revoke", "app"], "no such file"),
    ],
)
def test_a_mistake_is_one_line_and_makes_no_file(
    panopticon: Panopticon, file: Path, arguments: list[str], complaint: str
) -> None:
    assert complaint in panopticon("--set", f"tokens_file={file}", "tokens", *arguments).complaint
    assert not file.exists()


def test_without_the_setting_the_command_names_it(panopticon: Panopticon) -> None:
    assert "the setting tokens_file is empty" in panopticon("tokens", "list").complaint


def test_the_token_of_a_worker_is_shown_by_no_command(panopticon: Panopticon) -> None:
    token = "pan_hunter2"
    rows = panopticon("--set", f"espresso_token={token}", "settings", "--json").json["settings"]
    assert {row["key"]: row["value"] for row in rows}["espresso_token"] == "***"
    assert token not in panopticon("--set", f"espresso_token={token}", "settings").out
    Path("panopticon.toml").write_text("espresso_token = [1234567]")
    complaint = panopticon("settings").complaint
    assert complaint.startswith("setting 'espresso_token' from panopticon.toml: ")
    assert "1234567" not in complaint
