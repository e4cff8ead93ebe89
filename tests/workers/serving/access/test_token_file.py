from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from panopticon.errors import UsageError
from workers.serving.access.token_file import Scope, add_token, hash_of, read_tokens, revoke_token

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
GOOD = f'[tokens.app]\nscopes = ["read"]\nsha256 = "{"a" * 64}"\ncreated = 2026-12-01T00:00:00Z\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def add(file: Path, name: str) -> str:
    return add_token(file, name, frozenset({Scope.READ}), expires=None, now=NOW)


def test_the_file_has_the_hash_of_a_token_and_not_the_token(file: Path) -> None:
    token = add(file, "app.v-1")
    assert token not in file.read_text()
    assert token.removeprefix("pan_") not in file.read_text()
    (entry,) = read_tokens(file)
    assert (entry.name, entry.sha256, entry.created) == ("app.v-1", hash_of(token), NOW)


def test_a_new_file_can_be_read_by_its_owner_only_and_one_that_exists_keeps_its_mode(file: Path) -> None:
    add(file, "a")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    add(file, "b")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_two_changes_at_once_lose_nothing_and_leave_no_other_file(file: Path) -> None:
    names = [f"t{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: add(file, name), names))
    assert {entry.name for entry in read_tokens(file)} == {*names}
    assert [*file.parent.iterdir()] == [file]


def test_a_link_to_the_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    add(file, "a")
    link.symlink_to(file)
    add(link, "b")
    assert link.is_symlink()
    assert [entry.name for entry in read_tokens(file)] == ["a", "b"]


def test_a_name_is_given_once_until_it_is_revoked(file: Path) -> None:
    first = add(file, "app")
    with pytest.raises(UsageError, match="exists already"):
        add(file, "app")
    revoke_token(file, "app")
    assert add(file, "app") != first


def test_revoking_an_unknown_name_lists_those_that_exist(file: Path) -> None:
    add(file, "app")
    with pytest.raises(UsageError, match=r"no token is called 'ap'; there are: app$"):
        revoke_token(file, "ap")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-a", "ä", "x" * 65, "a\n"])
def test_a_name_that_would_confuse_a_log_is_refused(file: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a token's name is"):
        add(file, name)
    assert not file.exists()


def test_a_damaged_file_is_not_replaced(file: Path) -> None:
    file.write_text("pan_secret nonsense")
    with pytest.raises(UsageError, match="not TOML"):
        add(file, "app")
    assert file.read_text() == "pan_secret nonsense"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("pan_hush", "not TOML"),
        ("x = 1", r"holds tables \[tokens.NAME\] only"),
        ("tokens = 3", r"holds tables \[tokens.NAME\] only"),
        ("[tokens]\napp = 3", "entry 'app': a table"),
        (GOOD + "scope = 3", "entry 'app': unknown key 'scope'"),
        (GOOD.replace('"read"', '"rad"'), "entry 'app': scopes is a list of read, analyze, operate"),
        (GOOD.replace('["read"]', "[]"), "entry 'app': scopes is a list"),
        (GOOD.replace('["read"]', '"read"'), "entry 'app': scopes is a list"),
        (GOOD.replace("a" * 64, "a" * 63), "entry 'app': sha256 is 64 hexadecimal digits"),
        (GOOD.replace("T00:00:00Z", ""), "entry 'app': created and expires are times with a zone"),
        (GOOD + "expires = 1", "entry 'app': created and expires are times"),
    ],
)
def test_a_file_that_says_something_else_is_refused_in_one_line(file: Path, text: str, fault: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError, match=fault) as refused:
        read_tokens(file)
    assert "\n" not in str(refused.value)
    assert "hush" not in str(refused.value)


def test_a_folder_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        add(tmp_path / "missing" / "tokens.toml", "app")
