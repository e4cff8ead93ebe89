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

from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.models import find_card
from panopticon.results.outputs import VersionName
from storage.search import open_search
from storage.stores import open_store
from tests.contracts.examples import QUALITY, TAGGER
from workers.cli.main import main
from workers.queues import open_broker
from workers.registry.register import ensure_registered


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


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The components behind the program, for a test to fill and to read."""

    url: str
    store: Store
    broker: Broker
    search: SearchIndex

    def register(self, *versions: VersionName) -> None:
        for version in versions or (QUALITY, TAGGER):
            ensure_registered(
                find_card(version),
                self.store.registry,
                self.broker.topology,
                archive=self.store.archive,
                by="test",
            )

    def waiting(self, version: VersionName = TAGGER) -> list[bytes]:
        deliveries = self.broker.model_queue(version).receive(max_live=1000, max_backfill=1000, wait_s=0)
        return [delivery.body for delivery in deliveries]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    url = f"sqlite:///{tmp_path / 'house.db'}"
    store, broker, search = open_store(url), open_broker(url), open_search(url)
    yield House(url=url, store=store, broker=broker, search=search)
    store.close()
    broker.close()


@pytest.fixture
def panopticon(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Panopticon:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PANOPTICON_DATABASE", house.url)

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
