"""Every component that the settings name is examined, and each problem is a finding."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.interfaces import FetchLimits, Finding, Health
from panopticon.messages import ImageMessage, Lane
from panopticon.models import find_card
from panopticon.registry.records import RegistryEvent, VersionState
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.originals import open_originals
from storage.stores.sqlite import SqliteStore
from tests.panopticon.null_card import write_null_card
from workers.doctor.checks import examine
from workers.queues.sqlite import SqliteBroker
from workers.registry.register import ensure_registered

COLOUR = VersionName(model="colour", version=1)


class Source:
    """An ImageSource that gives every request the same answer, and records the requests."""

    def __init__(self, answer: Exception | bytes = b"") -> None:
        self._answer = answer
        self.asked: list[str] = []

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        self.asked.append(uri)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@dataclass(kw_only=True)
class Bench:
    """A machine with one model without weights, and all its components in one file."""

    folder: Path
    store: SqliteStore
    broker: SqliteBroker

    def settings(self, **more: Any) -> Settings:
        given: dict[str, Any] = {
            "database": f"sqlite:///{self.folder}/house.db",
            "models": ("colour@1",),
            "models_dir": self.folder / "models",
            "cache_dir": self.folder / "cache",
        }
        return Settings(**{**given, **more})

    def examine(self, source: Source | None = None, **more: object) -> dict[str, Finding]:
        settings = self.settings(**more)
        open_source = (lambda: source) if source else partial(open_originals, settings)
        found = list(examine(settings, open_source, now_s=time.time))
        by_check = {finding.check: finding for finding in found}
        assert len(by_check) == len(found), "two findings of one name"
        assert all(finding.advice or finding.health is not Health.WARN for finding in found)
        return by_check

    def troubles(self, source: Source | None = None, **more: object) -> dict[str, str]:
        found = self.examine(source, **more).values()
        return {finding.check: finding.health.value for finding in found if finding.health is not Health.OK}

    def register(self) -> None:
        card = find_card(COLOUR, self.folder / "models")
        ensure_registered(
            card, self.store.registry, self.broker.topology, archive=self.store.archive, by="test"
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    write_null_card(tmp_path / "models" / "colour")
    url = f"sqlite:///{tmp_path}/house.db"
    with closing(SqliteStore(url)) as store, closing(SqliteBroker(url)) as broker:
        made = Bench(folder=tmp_path, store=store, broker=broker)
        made.register()
        yield made


def test_a_healthy_machine_has_no_troubles(bench: Bench) -> None:
    assert bench.troubles() == {}


def test_a_file_that_serves_three_components_is_examined_once(bench: Bench) -> None:
    checks = list(bench.examine())
    assert checks.count("database: integrity") == 1
    assert {"store: models", "broker: bindings", "broker: waiting", "search: documents"} <= set(checks)


def test_a_missing_database_is_a_warning_and_is_not_created(bench: Bench, tmp_path: Path) -> None:
    assert bench.troubles(database=f"sqlite:///{tmp_path}/new.db") == {"database: file": "warn"}
    assert not (tmp_path / "new.db").exists()


def test_an_older_schema_is_not_migrated(bench: Bench, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "house.db", isolation_level=None)
    connection.execute("PRAGMA user_version = 1")
    bench.examine()
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_an_unknown_broker_fails_and_the_other_components_are_still_examined(bench: Bench) -> None:
    found = bench.examine(broker="carrier-pigeon://loft")
    assert found["broker"].health is Health.FAIL
    assert "unknown broker scheme 'carrier-pigeon'" in found["broker"].seen
    assert found["search: documents"].health is Health.OK


def test_store_and_broker_are_closed_if_a_question_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[type] = []

    def note_close(self: SqliteStore | SqliteBroker) -> None:
        closed.append(type(self))

    def fail(*_: object) -> None:
        raise Unavailable("store", "gone")

    monkeypatch.setattr(SqliteStore, "close", note_close)
    monkeypatch.setattr(SqliteBroker, "close", note_close)
    monkeypatch.setattr("workers.doctor.checks.all_versions", fail)
    monkeypatch.setattr("workers.doctor.checks.total", fail)
    assert bench.troubles() == {"store": "fail", "broker": "fail"}
    assert closed == [SqliteStore, SqliteBroker]


def test_an_active_version_that_uploads_do_not_reach_fails(bench: Bench) -> None:
    bench.broker.topology.unbind(COLOUR)
    assert bench.troubles() == {"broker: bindings": "fail"}


def test_a_queue_of_a_version_unknown_to_the_store_is_a_warning(bench: Bench) -> None:
    bench.broker.topology.bind(VersionName(model="stranger", version=1))
    found = bench.examine()["broker: bindings"]
    assert (found.health, "stranger@1" in found.seen) == (Health.WARN, True)


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        (VersionState.REGISTERED, "panopticon models shadow colour@1, or panopticon models retire colour@1"),
        (VersionState.RETIRED, "panopticon models retire colour@1 --discard --yes"),
    ],
)
def test_a_version_that_uploads_reach_against_its_state_is_a_warning_with_advice(
    bench: Bench, state: VersionState, advice: str
) -> None:
    entry = bench.store.registry.read("colour")
    assert entry is not None
    event = RegistryEvent(at_ms=1, by="test", what=str(state))
    changed = entry.with_version(replace(entry.versions[0], state=state), event)
    assert bench.store.registry.swap(entry, changed)
    found = bench.examine()["broker: bindings"]
    assert (found.health, found.advice) == (Health.WARN, advice)
    assert found.seen == f"uploads also reach colour@1 ({state})"


def test_a_retired_version_needs_no_queue(bench: Bench) -> None:
    entry = bench.store.registry.read("colour")
    assert entry is not None
    retired = replace(entry.versions[0], state=VersionState.RETIRED)
    event = RegistryEvent(at_ms=1, by="test", what="retired")
    assert bench.store.registry.swap(entry, entry.with_version(retired, event))
    bench.broker.topology.unbind(COLOUR)
    assert bench.troubles() == {}


def test_undeliverable_messages_are_a_warning(bench: Bench) -> None:
    bench.broker.undeliverable().submit([b"x", b"y"], Lane.LIVE)
    assert bench.examine()["broker: undeliverable"].seen == "2 messages that no consumer could take"
    assert bench.troubles() == {"broker: undeliverable": "warn"}


def test_waiting_messages_are_counted_by_queue(bench: Bench) -> None:
    bench.broker.uploads.publish([ImageMessage(image_id="1")], Lane.LIVE)
    assert bench.examine()["broker: waiting"].seen == "colour@1 1, catalogue 1, results 0"


def test_a_store_without_models_is_a_warning(bench: Bench, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    with closing(SqliteStore(url)) as store:
        assert store.registry.models() == ()
    assert bench.troubles(database=url) == {"store: models": "warn"}


class TestModels:
    def test_an_unknown_model_fails(self, bench: Bench) -> None:
        assert bench.troubles(models=("nobody@3",)) == {"model nobody@3": "fail"}

    def test_an_engine_that_its_card_does_not_allow_fails(self, bench: Bench) -> None:
        assert bench.troubles(engine="keras") == {"model colour@1": "fail"}

    def test_a_card_that_is_not_the_registered_one_fails(self, bench: Bench) -> None:
        write_null_card(bench.folder / "models" / "colour", "\n[preprocessing]\ncrop = 0.5\n")
        assert bench.troubles() == {"model colour@1: card": "fail"}

    def test_an_unconverted_model_is_a_warning_with_tensorflow(self, bench: Bench) -> None:
        assert bench.troubles(models=("tagger@1",)) == {"model tagger@1: converted": "warn"}

    def test_an_unconverted_model_fails_without_tensorflow(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert bench.troubles(models=("quality@1",)) == {"model quality@1: converted": "fail"}

    def test_weights_that_are_missing_fail(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("workers.doctor.checks.has_weights", lambda card: False)
        assert bench.troubles(models=("tagger@1",))["model tagger@1: weights"] == "fail"


class TestOriginals:
    def test_an_existing_folder_is_healthy(self, bench: Bench) -> None:
        found = bench.examine(originals=f"file://{bench.folder}/{{image_id}}.jpg")
        assert found["originals: folder"].seen == str(bench.folder)

    def test_a_missing_folder_fails(self, bench: Bench) -> None:
        troubles = bench.troubles(originals=f"file://{bench.folder}/absent/{{image_id}}")
        assert troubles == {"originals: folder": "fail"}

    def test_a_template_without_an_id_fails(self, bench: Bench) -> None:
        assert bench.troubles(originals="file:///photos") == {"originals": "fail"}

    def test_the_file_roots_of_the_settings_are_examined(self, bench: Bench) -> None:
        roots = (bench.folder, bench.folder / "absent")
        found = bench.examine(file_roots=roots)
        assert found[f"originals: {bench.folder}"].health is Health.OK
        assert found[f"originals: {bench.folder}/absent"].health is Health.FAIL

    def test_a_source_is_asked_for_an_image_that_does_not_exist(self, bench: Bench) -> None:
        source = Source(Transient("not_found"))
        assert bench.troubles(source, originals="s3://bucket/{image_id}.jpg") == {}
        assert source.asked == ["s3://bucket/panopticon-doctor.jpg"]

    @pytest.mark.parametrize(
        ("answer", "troubles"),
        [
            (b"a photo after all", {}),
            (Rejected("not_found"), {}),
            (Transient("timed_out"), {"originals: source": "warn"}),
            (Rejected("bad_uri", "no source for 's3'"), {"originals: source": "fail"}),
            (Unavailable("source", "403"), {"originals": "fail"}),
        ],
    )
    def test_the_answer_of_a_source_decides_its_health(
        self, bench: Bench, answer: Exception | bytes, troubles: dict[str, str]
    ) -> None:
        assert bench.troubles(Source(answer), originals="s3://bucket/{image_id}") == troubles


def test_a_read_only_cache_is_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.access
    monkeypatch.setattr(
        "workers.doctor.checks.os.access", lambda path, mode: mode != os.W_OK and real(path, mode)
    )
    assert "read-only" in bench.examine(database=f"sqlite:///{bench.folder}/new.db")["cache: disk"].seen
