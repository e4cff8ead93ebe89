"""Every component that the settings name is examined, and each problem is a finding."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.interfaces import FetchLimits, Finding, Health
from panopticon.messages import ImageMessage, Lane
from panopticon.registry.heartbeats import ProcessState
from panopticon.registry.records import VersionState
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.originals import open_originals
from storage.stores.sqlite import SqliteStore
from storage.stores.sqlite.images import SqliteImageList
from tests.contracts.heartbeats import heartbeat
from tests.house import House, house_of
from tests.panopticon.null_card import write_null_card
from workers.doctor.checks import examine
from workers.queues.sqlite import SqliteBroker

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


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with one model without weights, and all its components in one file."""
    card = write_null_card(tmp_path / "models" / "colour")
    settings = Settings(
        database=f"sqlite:///{tmp_path}/house.db",
        models=("colour@1",),
        models_dir=tmp_path / "models",
        cache_dir=tmp_path / "cache",
    )
    with house_of(settings) as house:
        house.register(card)
        yield house


def findings(house: House, source: Source | None = None, **more: object) -> dict[str, Finding]:
    """Examine the house with `more` settings; return the findings by check."""
    settings = Settings.model_validate({**house.settings.model_dump(exclude_unset=True), **more})
    open_source = (lambda: source) if source else partial(open_originals, settings)
    found = list(examine(settings, open_source, now_s=time.time))
    by_check = {finding.check: finding for finding in found}
    assert len(by_check) == len(found), "two findings of one name"
    assert all(finding.advice or finding.health is not Health.WARN for finding in found)
    return by_check


def troubles(house: House, source: Source | None = None, **more: object) -> dict[str, str]:
    """Return the health by check of every finding that is not healthy."""
    found = findings(house, source, **more).values()
    return {finding.check: finding.health.value for finding in found if finding.health is not Health.OK}


def test_a_healthy_machine_has_no_troubles(house: House) -> None:
    assert troubles(house) == {}


def test_a_file_that_serves_three_components_is_examined_once(house: House) -> None:
    checks = list(findings(house))
    assert checks.count("database: integrity") == 1
    assert {"store: models", "broker: bindings", "broker: waiting", "search: documents"} <= set(checks)


def test_documents_are_compared_with_the_list_of_ids(house: House) -> None:
    house.plant("a", "b", outputs={COLOUR: {}})
    assert findings(house)["search: documents"].seen == "2 for 2 images in the list of IDs"
    house.plant("c", "d")
    found = findings(house)["search: documents"]
    assert (found.health, found.seen) == (
        Health.WARN,
        "2 for 4 images in the list of IDs: 2 are missing, and in no queue",
    )
    assert "panopticon search rebuild --all" in found.advice


def test_images_on_their_way_are_not_missing_in_search(house: House) -> None:
    house.plant("a")
    house.real.broker.model_queue(COLOUR).submit([b"{}"], Lane.LIVE)
    put_worker(house)
    assert troubles(house) == {}


def test_images_that_no_version_has_to_process_are_not_missing_in_search(house: House) -> None:
    house.retire(COLOUR)
    house.real.broker.topology.unbind(COLOUR)
    house.plant("a")
    assert troubles(house) == {}


def test_a_lost_index_fails_and_is_not_created(house: House, tmp_path: Path) -> None:
    house.plant("a")
    file, found = of_search_apart(house, tmp_path)
    assert file.advice.endswith("otherwise: panopticon search rebuild --all")
    assert (found.health, found.advice) == (Health.FAIL, "panopticon search rebuild --all")
    assert found.seen == "there is no index, and the list of IDs has 1 images"
    assert not (tmp_path / "search.db").exists()


def test_the_missing_index_of_a_new_installation_is_a_warning(house: House, tmp_path: Path) -> None:
    (file,) = of_search_apart(house, tmp_path)
    assert (file.health, "panopticon indexer creates it" in file.advice) == (Health.WARN, True)


def of_search_apart(house: House, folder: Path) -> list[Finding]:
    """Return what is found if search has a file of its own that does not exist: of the file, of documents."""
    settings = house.settings.model_copy(update={"search": f"sqlite:///{folder}/search.db"})
    found = list(examine(settings, partial(open_originals, settings), now_s=time.time))
    ours, apart = [finding for finding in found if finding.check == "database: file"]
    assert ours.health is Health.OK
    return [apart, *(finding for finding in found if finding.check == "search: documents")]


def test_images_that_the_list_lacks_are_a_warning(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.plant("a", "b", outputs={COLOUR: {}})
    monkeypatch.setattr(SqliteImageList, "count", lambda _: 0)
    found = findings(house)["search: documents"]
    assert (found.health, "panopticon ids add --from-search" in found.advice) == (Health.WARN, True)


def test_a_missing_database_is_a_warning_and_is_not_created(house: House, tmp_path: Path) -> None:
    assert troubles(house, database=f"sqlite:///{tmp_path}/new.db") == {"database: file": "warn"}
    assert not (tmp_path / "new.db").exists()


def test_an_older_schema_is_not_migrated(house: House, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "house.db", isolation_level=None)
    connection.execute("PRAGMA user_version = 1")
    findings(house)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_an_unknown_broker_fails_and_the_other_components_are_still_examined(house: House) -> None:
    found = findings(house, broker="carrier-pigeon://loft")
    assert found["broker"].health is Health.FAIL
    assert "unknown broker scheme 'carrier-pigeon'" in found["broker"].seen
    assert found["search: documents"].health is Health.OK


def test_store_and_broker_are_closed_if_a_question_fails(
    house: House, monkeypatch: pytest.MonkeyPatch
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
    assert troubles(house) == {"store": "fail", "broker": "fail"}
    assert closed == [SqliteStore, SqliteBroker]


def test_an_active_version_that_uploads_do_not_reach_fails(house: House) -> None:
    house.real.broker.topology.unbind(COLOUR)
    assert troubles(house) == {"broker: bindings": "fail"}


def test_a_queue_of_a_version_unknown_to_the_store_is_a_warning(house: House) -> None:
    house.real.broker.topology.bind(VersionName(model="stranger", version=1))
    found = findings(house)["broker: bindings"]
    assert (found.health, "stranger@1" in found.seen) == (Health.WARN, True)


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        (VersionState.REGISTERED, "panopticon models shadow colour@1, or panopticon models retire colour@1"),
        (VersionState.RETIRED, "panopticon models retire colour@1 --discard --yes"),
    ],
)
def test_a_version_that_uploads_reach_against_its_state_is_a_warning_with_advice(
    house: House, state: VersionState, advice: str
) -> None:
    house.set_state(COLOUR, state)
    found = findings(house)["broker: bindings"]
    assert (found.health, found.advice) == (Health.WARN, advice)
    assert found.seen == f"uploads also reach colour@1 ({state})"


def test_a_retired_version_needs_no_queue(house: House) -> None:
    house.retire(COLOUR)
    house.real.broker.topology.unbind(COLOUR)
    assert troubles(house) == {}


def test_undeliverable_messages_are_a_warning(house: House) -> None:
    house.real.broker.undeliverable().submit([b"x", b"y"], Lane.LIVE)
    assert findings(house)["broker: undeliverable"].seen == "2 messages that no consumer could take"
    assert troubles(house) == {"broker: undeliverable": "warn"}


def test_waiting_messages_are_counted_by_queue(house: House) -> None:
    house.real.broker.uploads.publish([ImageMessage(image_id="1")], Lane.LIVE)
    assert findings(house)["broker: waiting"].seen == "colour@1 1, catalogue 1, results 0"


def test_a_store_without_models_is_a_warning(house: House, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    with house_of(house.settings.model_copy(update={"database": url})) as empty:
        assert empty.store.registry.models() == ()
    assert troubles(house, database=url) == {"store: models": "warn"}


class TestModels:
    def test_an_unknown_model_fails(self, house: House) -> None:
        assert troubles(house, models=("nobody@3",)) == {"model nobody@3": "fail"}

    def test_an_engine_that_its_card_does_not_allow_fails(self, house: House) -> None:
        assert troubles(house, engine="keras") == {"model colour@1": "fail"}

    def test_a_card_that_is_not_the_registered_one_fails(self, house: House, tmp_path: Path) -> None:
        write_null_card(tmp_path / "models" / "colour", "\n[preprocessing]\ncrop = 0.5\n")
        assert troubles(house) == {"model colour@1: card": "fail"}

    def test_an_unconverted_model_is_a_warning_with_tensorflow(self, house: House) -> None:
        assert troubles(house, models=("tagger@1",)) == {"model tagger@1: converted": "warn"}

    def test_an_unconverted_model_fails_without_tensorflow(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert troubles(house, models=("quality@1",)) == {"model quality@1: converted": "fail"}

    def test_weights_that_are_missing_fail(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("workers.doctor.checks.has_weights", lambda card: False)
        assert troubles(house, models=("tagger@1",))["model tagger@1: weights"] == "fail"


class TestOriginals:
    def test_an_existing_folder_is_healthy(self, house: House, tmp_path: Path) -> None:
        found = findings(house, originals=f"file://{tmp_path}/{{image_id}}.jpg")
        assert found["originals: folder"].seen == str(tmp_path)

    def test_a_missing_folder_fails(self, house: House, tmp_path: Path) -> None:
        absent = f"file://{tmp_path}/absent/{{image_id}}"
        assert troubles(house, originals=absent) == {"originals: folder": "fail"}

    def test_a_template_without_an_id_fails(self, house: House) -> None:
        assert troubles(house, originals="file:///photos") == {"originals": "fail"}

    def test_the_file_roots_of_the_settings_are_examined(self, house: House, tmp_path: Path) -> None:
        roots = (tmp_path, tmp_path / "absent")
        found = findings(house, file_roots=roots)
        assert found[f"originals: {tmp_path}"].health is Health.OK
        assert found[f"originals: {tmp_path}/absent"].health is Health.FAIL

    def test_a_source_is_asked_for_an_image_that_does_not_exist(self, house: House) -> None:
        source = Source(Transient("not_found"))
        assert troubles(house, source, originals="s3://bucket/{image_id}.jpg") == {}
        assert source.asked == ["s3://bucket/panopticon-doctor.jpg"]

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (b"a photo after all", {}),
            (Rejected("not_found"), {}),
            (Transient("timed_out"), {"originals: source": "warn"}),
            (Rejected("bad_uri", "no source for 's3'"), {"originals: source": "fail"}),
            (Unavailable("source", "403"), {"originals": "fail"}),
        ],
    )
    def test_the_answer_of_a_source_decides_its_health(
        self, house: House, answer: Exception | bytes, expected: dict[str, str]
    ) -> None:
        assert troubles(house, Source(answer), originals="s3://bucket/{image_id}") == expected


def test_a_read_only_cache_is_reported(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = os.access
    monkeypatch.setattr(
        "workers.doctor.checks.os.access", lambda path, mode: mode != os.W_OK and real(path, mode)
    )
    assert "read-only" in findings(house, database=f"sqlite:///{tmp_path}/new.db")["cache: disk"].seen


def put_worker(house: House, **changes: Any) -> None:
    """Let a worker of `colour@1` run, with the registered digest unless `changes` has another."""
    running: dict[str, Any] = {
        "version": "colour@1",
        "digest": house.version(COLOUR).digest,
        "state": ProcessState.READY,
        "component": "",
        "reason": "",
        **changes,
    }
    house.store.heartbeats.put(replace(heartbeat(at_ms=int(time.time() * 1000)), **running))


def test_the_processes_that_run_are_counted(house: House) -> None:
    assert findings(house)["processes"].seen == "none runs"
    put_worker(house)
    assert findings(house)["processes"].seen == "1 × colour@1"


def test_a_worker_with_another_model_than_the_registered_one_fails(house: House) -> None:
    put_worker(house, digest="9" * 64)
    finding = findings(house)["process colour@1 at gpu-7:4711"]
    assert (finding.health, "its digest is 999999999999" in finding.seen) == (Health.FAIL, True)


def test_a_parked_worker_is_a_warning_with_the_reason(house: House) -> None:
    put_worker(house, state=ProcessState.PARKED, component="source", reason="refused")
    finding = findings(house)["process colour@1 at gpu-7:4711"]
    assert (finding.health, finding.seen) == (Health.WARN, "parked: source: refused")


def test_images_that_wait_for_their_source_are_a_warning(house: House) -> None:
    put_worker(house, reason="the latest 60 images could not be fetched")
    finding = findings(house)["process colour@1 at gpu-7:4711"]
    assert (finding.health, finding.seen) == (Health.WARN, "the latest 60 images could not be fetched")


def test_messages_that_wait_without_a_worker_or_an_indexer_are_warnings(house: House) -> None:
    house.real.broker.uploads.publish([ImageMessage(image_id="1")], Lane.LIVE)
    found = findings(house)
    assert found["processes of colour@1"].seen == "1 waiting, and no worker of colour@1 runs"
    assert found["processes of the indexer"].seen == "1 waiting, and no indexer runs"
    put_worker(house)
    assert "processes of colour@1" not in findings(house)
