"""The name in the history is that of a person, also where no `USER` is set."""

from __future__ import annotations

import os
import pwd
import socket

import pytest

from workers.runtime.identity import who


def test_it_is_the_user_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ada")
    assert who() == f"ada@{socket.gethostname()}"


@pytest.mark.parametrize("user", [None, ""])
def test_without_user_it_is_the_account_of_the_process(
    monkeypatch: pytest.MonkeyPatch, user: str | None
) -> None:
    monkeypatch.delenv("USER", raising=False)
    if user is not None:
        monkeypatch.setenv("USER", user)
    assert who() == f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


def test_without_an_account_it_is_the_number_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_001)
    assert who() == f"uid 2000000001@{socket.gethostname()}"
