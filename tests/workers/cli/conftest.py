"""The program itself, as a person calls it, on a database of its own."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from panopticon.settings import Settings
from tests.house import House, house_of
from workers.cli.main import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Exit code and output of one call."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line that reports a person's mistake."""
        assert (self.code, self.out, self.err.count("\n")) == (2, "", 1), self
        return self.err.removeprefix("panopticon: ").rstrip("\n")


Panopticon = Callable[..., Ran]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house on the real time, which the program has too."""
    with house_of(Settings(database=f"sqlite:///{tmp_path / 'house.db'}")) as house:
        yield house


@pytest.fixture
def panopticon(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Panopticon:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PANOPTICON_DATABASE", house.url)
    # The database exists, although nothing is in it: a command that only reads refuses to create it.
    house.broker.topology.bound()

    def call(*arguments: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["panopticon", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        printed = capfd.readouterr()
        return Ran(code=int(exit_.value.code or 0), out=printed.out, err=printed.err)

    return call


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make every sleep end at once, on every clock; return the durations asked for, in seconds."""
    slept: list[float] = []
    real = __import__("time").monotonic
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("time.monotonic", lambda: real() + sum(slept))
    return slept
