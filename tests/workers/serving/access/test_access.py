from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from panopticon.errors import UsageError
from workers.serving.access.access import LOOK_EVERY_S, Access, refuse_open_service
from workers.serving.access.token_file import Scope, add_token, revoke_token
from workers.serving.problems import Problem

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def unix(self) -> float:
        return NOW.timestamp() + self.passed_s

    def monotonic(self) -> float:
        return 1000.0 + self.passed_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


@pytest.fixture
def opened(file: Path, clock: Clock) -> Callable[[], Access]:
    def open_access() -> Access:
        access = Access(file, clock=clock.unix, monotonic=clock.monotonic)
        access.open()
        return access

    return open_access


def add(file: Path, name: str, *scopes: Scope, expires: datetime | None = None) -> str:
    return add_token(file, name, frozenset(scopes), expires=expires, now=NOW)


def refusal(access: Access, authorization: str | None, scope: Scope = Scope.ANALYZE) -> Problem:
    with pytest.raises(Problem) as refused:
        access.check(authorization, scope, address="10.0.0.9")
    return refused.value


def test_a_token_names_its_caller_and_scopes(file: Path, opened: Callable[[], Access]) -> None:
    add(file, "other", Scope.READ)
    token = add(file, "app", Scope.READ, Scope.ANALYZE)
    add(file, "last", Scope.READ)
    caller = opened().check(f"Bearer {token}", Scope.ANALYZE, address="10.0.0.9")
    assert (caller.name, caller.scopes) == ("app", frozenset({Scope.READ, Scope.ANALYZE}))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer  ",
        "Basic {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer x",
        "Bearer \xff\udcff",
        "Bearer " + "x" * 10_000,
    ],
)
def test_anything_but_a_known_token_is_unauthorized(
    file: Path, opened: Callable[[], Access], header: str | None
) -> None:
    token = add(file, "app", Scope.ANALYZE)
    problem = refusal(opened(), header and header.replace("{token}", token))
    assert problem.slug == "unauthorized"
    assert problem.answer_headers()["www-authenticate"].startswith('Bearer realm="panopticon"')
    assert token not in str(problem.as_dict())


def test_a_token_without_the_scope_is_forbidden_and_learns_which_one_it_lacks(
    file: Path, opened: Callable[[], Access]
) -> None:
    token = add(file, "app", Scope.READ)
    problem = refusal(opened(), f"Bearer {token}", Scope.OPERATE)
    assert (problem.slug, problem.allowed) == ("forbidden", ["operate"])
    assert 'scope="operate"' in problem.answer_headers()["www-authenticate"]
    assert token not in str(problem.as_dict())


def test_an_expired_token_is_unauthorized(file: Path, opened: Callable[[], Access], clock: Clock) -> None:
    token = add(file, "app", Scope.ANALYZE, expires=datetime(2026, 12, 2, tzinfo=UTC))
    access = opened()
    access.check(f"Bearer {token}", Scope.ANALYZE, address="")
    clock.passed_s = 12 * 3600
    assert refusal(access, f"Bearer {token}").detail == "the token 'app' expired at 2026-12-02T00:00:00Z"


def test_a_running_service_sees_new_and_revoked_tokens(
    file: Path, opened: Callable[[], Access], clock: Clock
) -> None:
    old = add(file, "old", Scope.ANALYZE)
    access = opened()
    revoke_token(file, "old")
    new = add(file, "new", Scope.ANALYZE)
    clock.passed_s += LOOK_EVERY_S
    assert access.check(f"Bearer {new}", Scope.ANALYZE, address="").name == "new"
    assert refusal(access, f"Bearer {old}").slug == "unauthorized"


@pytest.mark.parametrize("damage", [b"= nonsense", b"\xff", b"[tokens.app]\n", None])
def test_a_file_that_cannot_be_used_any_more_changes_nothing_and_is_reported_once(
    file: Path,
    opened: Callable[[], Access],
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    damage: bytes | None,
) -> None:
    token = add(file, "app", Scope.ANALYZE)
    access = opened()
    assert access.trouble() is None
    good = file.read_bytes()
    file.unlink() if damage is None else file.write_bytes(damage)
    for _ in range(3):
        clock.passed_s += LOOK_EVERY_S
        access.check(f"Bearer {token}", Scope.ANALYZE, address="")
    assert str(access.trouble()).startswith(f"tokens_file {file}: ")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    file.write_bytes(good)
    clock.passed_s += LOOK_EVERY_S
    assert access.trouble() is None


def test_a_file_that_can_be_read_again_is_used_although_it_did_not_change(
    file: Path, opened: Callable[[], Access], clock: Clock
) -> None:
    token = add(file, "app", Scope.ANALYZE)
    access = opened()
    hidden = file.with_suffix(".hidden")
    os.rename(file, hidden)
    clock.passed_s += LOOK_EVERY_S
    assert access.trouble()
    os.rename(hidden, file)
    clock.passed_s += LOOK_EVERY_S
    access.check(f"Bearer {token}", Scope.ANALYZE, address="")
    assert access.trouble() is None


def test_at_the_start_a_missing_file_is_a_mistake_that_names_the_way_out(
    file: Path, opened: Callable[[], Access]
) -> None:
    with pytest.raises(
        UsageError, match=r"no such file; panopticon tokens add NAME --scope analyze makes it"
    ):
        opened()


def test_without_a_file_everyone_may_do_everything_and_is_called_by_the_address() -> None:
    access = Access(None)
    access.open()
    caller = access.check(None, Scope.OPERATE, address="127.0.0.1")
    assert (caller.name, caller.scopes) == ("127.0.0.1", frozenset(Scope))
    assert access.trouble() is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_an_open_service_may_be_on_loopback(host: str) -> None:
    refuse_open_service(host, None)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", "127.0.0.1.example.org", "*"],
)
def test_an_open_service_may_not_be_anywhere_else(host: str, file: Path) -> None:
    with pytest.raises(UsageError, match=r"^http_host .*tokens_file"):
        refuse_open_service(host, None)
    refuse_open_service(host, file)
