"""`panopticon status`: the ledger adds up, and no image is reported as lost before that is certain."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from panopticon.interfaces import Broker
from panopticon.messages import Lane
from panopticon.registry.heartbeats import ProcessState
from panopticon.registry.records import VersionState
from panopticon.results.outputs import FailureState
from panopticon.results.undeliverable import NO_VERSION
from storage.stores.sqlite import SqliteStore
from storage.stores.sqlite.images import SqliteImageList
from tests.contracts.examples import QUALITY, TAGGER, deletion, failure, image, key, output, retrying
from tests.contracts.heartbeats import heartbeat
from tests.house import AUTHOR, House
from tests.workers.cli.conftest import Panopticon, Ran


def row(ran: Ran, name: str = "tagger@1") -> dict[str, object]:
    (fields,) = [model for model in ran.json["models"] if model["name"] == name]
    assert isinstance(fields, dict)
    return fields


def counts(ran: Ran, name: str = "tagger@1") -> list[object]:
    keys = ("accepted", "stored", "dead", "skipped", "pending", "lost")
    return [row(ran, name)[key] for key in keys]


def fill(house: House) -> None:
    """One stored, one dead, one deleted; nothing pending."""
    house.register()
    house.store.catalogue.put([image("a"), image("b"), image("c", event="deleted")])
    for version in (TAGGER, QUALITY):
        house.store.outputs.put([output(key("a", version=version))])
        house.store.outputs.put_failures([failure(key("b", version=version))])


def test_the_ledger_of_every_version_closes(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    fill(house)
    ran = panopticon("status", "--json")
    assert counts(ran) == counts(ran, "quality@1") == [3, 1, 1, 1, 0, 0]
    assert pauses == []


def test_images_pending_in_empty_queues_are_lost_after_the_settling_time(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    fill(house)
    house.store.catalogue.put([image("d")])
    ran = panopticon("--set", "settle_s=7", "status", "--json")
    assert counts(ran) == [4, 1, 1, 1, 1, 1]
    assert sum(pauses) == pytest.approx(7, abs=0.5)
    assert "reading again in 7 s" in ran.err


def state(house: House, state: VersionState) -> None:
    entry = house.store.registry.read("tagger")
    assert entry is not None
    changed = replace(entry.versions[0], state=state)
    assert house.store.registry.swap(entry, entry.with_version(changed, AUTHOR.did("planted")))


def test_nothing_is_lost_of_a_version_that_receives_no_images(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    fill(house)
    house.store.catalogue.put([image("d")])
    house.store.outputs.put([output(key("d", version=QUALITY))])
    state(house, VersionState.REGISTERED)
    assert (counts(panopticon("status", "--json")), pauses) == ([4, 1, 1, 1, 1, 0], [])


def test_images_from_before_a_shadow_call_for_a_backfill(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    fill(house)
    house.store.catalogue.put([image("d")])
    state(house, VersionState.SHADOW)
    line = "tagger@1: 1 image not run, and on no queue: panopticon backfill --model tagger@1 --all"
    assert line in panopticon("status").out


def test_images_pending_while_a_message_waits_are_not_decidable(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    house.register(TAGGER)
    house.store.catalogue.put([image("d")])
    house.broker.model_queue(TAGGER).submit([b"{}"], Lane.BACKFILL)
    ran = panopticon("status", "--json")
    assert counts(ran) == [1, 0, 0, 0, 1, None]
    assert row(ran)["note"] == "pending or lost, not decidable yet"
    assert sum(pauses) < 2


def put_on_delay(house: House, *image_ids: str, records: bool = True) -> None:
    """Put a message of each image on a retry delay, with the record that a worker stores before."""
    queue = house.broker.model_queue(TAGGER)
    for image_id in image_ids:
        if records:
            house.store.outputs.put_failures([retrying(key(image_id))])
        queue.submit([b"{}"], Lane.LIVE)
        (delivery,) = queue.receive(max_live=1, max_backfill=0, wait_s=0)
        queue.retry(delivery, delay_s=3600)


def test_images_on_a_retry_delay_are_pending_and_not_lost(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    fill(house)
    house.store.catalogue.put([image("d")])
    house.store.outputs.put([output(key("d", version=QUALITY))])
    put_on_delay(house, "d")
    assert counts(panopticon("status", "--json")) == [4, 1, 1, 1, 1, 0]
    assert sum(pauses) < 2
    assert "no worker takes from its queue" not in panopticon("status").out


def test_an_image_is_lost_though_another_is_on_a_retry_delay(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    fill(house)
    house.store.catalogue.put([image("d"), image("lost")])
    put_on_delay(house, "d")
    assert counts(panopticon("status", "--json")) == [5, 1, 1, 1, 2, 1]


def test_it_cannot_be_decided_which_of_two_images_the_one_message_on_a_retry_delay_is_of(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    fill(house)
    house.store.catalogue.put([image("d"), image("e")])
    house.store.outputs.put_failures([retrying(key("e"))])
    put_on_delay(house, "d")
    assert counts(panopticon("status", "--json"))[-1] is None


def test_records_of_retry_delays_hide_no_loss_once_nothing_is_on_a_delay(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    fill(house)
    house.store.catalogue.put([image("d")])
    house.store.outputs.put_failures([retrying(key("d"))])
    assert counts(panopticon("status", "--json")) == [4, 1, 1, 1, 1, 1]


def test_bodies_that_could_not_be_read_are_counted(panopticon: Panopticon, house: House) -> None:
    fill(house)
    assert panopticon("status", "--json").json["dead_messages"] == 0
    house.store.outputs.put_failures(
        [failure(key(f"message-{number}", version=NO_VERSION)) for number in range(3)]
    )
    assert panopticon("status", "--json").json["dead_messages"] == 3
    line = "3 messages that could not be read: panopticon dead list --model catalogue@1"
    assert line in panopticon("status").out


def test_nothing_is_lost_while_the_catalogue_is_behind(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    house.register(TAGGER)
    house.store.catalogue.put([image("d")])
    house.broker.catalogue().submit([b"{}"], Lane.LIVE)
    assert counts(panopticon("status", "--json"))[-1] is None


def test_nothing_is_lost_if_the_ledger_moves_in_between(
    panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    house.register(TAGGER)
    house.store.catalogue.put([image("d"), image("e")])

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        house.store.outputs.put([output(key("d"))])

    monkeypatch.setattr("time.sleep", sleep)
    assert counts(panopticon("status", "--json")) == [2, 1, 0, 0, 1, None]


def test_rate_and_time_left_are_reported_during_work(
    panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    house.register(TAGGER)
    house.store.catalogue.put([image(str(number)) for number in range(10)])
    house.broker.model_queue(TAGGER).submit([b"{}"], Lane.LIVE)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        house.store.outputs.put([output(key(str(number))) for number in range(4)])

    monkeypatch.setattr("time.sleep", sleep)
    fields = row(panopticon("status", "--json"))
    assert fields["images_per_s"] == pytest.approx(4, rel=0.2)
    assert fields["eta_s"] == pytest.approx(1.5, rel=0.2)


def test_queues_are_counted_by_lane_and_state(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    house.register(TAGGER)
    plant_one_of_each(house.broker)
    ran = panopticon("status", "--json")
    assert row(ran)["queue"] == {
        "live": {"ready": 1, "held": 1, "retrying": 1},
        "backfill": {"ready": 0, "held": 0, "retrying": 0},
    }
    assert ran.json["queues"]["results"]["backfill"]["ready"] == 1


def plant_one_of_each(broker: Broker) -> None:
    queue = broker.model_queue(TAGGER)
    queue.submit([b"1", b"2", b"3"], Lane.LIVE)
    retried, _ = queue.receive(max_live=2, max_backfill=0, wait_s=0)
    queue.retry(retried, delay_s=3600)
    broker.results().submit([b"{}"], Lane.BACKFILL)


def test_people_see_a_table_and_what_to_do(panopticon: Panopticon, house: House, pauses: list[float]) -> None:
    fill(house)
    house.store.catalogue.put([image("d")])
    shown = panopticon("status").out
    lines = [line.split() for line in shown.splitlines()]
    assert ["model", "accepted", "stored", "dead", "skipped", "pending", "lost"] in lines
    assert ["tagger@1", "4", "1", "1", "1", "1", "1"] in lines
    assert "Every queue is empty." in shown
    assert "tagger@1: 1 image lost: panopticon audit --all --fix" in shown
    assert "tagger@1: 1 image dead: panopticon dead list --model tagger@1" in shown


def test_a_queue_without_a_worker_is_pointed_out(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    house.register(TAGGER)
    house.store.catalogue.put([image("d")])
    house.broker.model_queue(TAGGER).submit([b"{}"], Lane.LIVE)
    shown = panopticon("status").out
    assert "tagger@1: no worker takes from its queue: panopticon worker --model tagger@1" in shown


def test_a_replayed_failure_does_not_count_as_dead(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    fill(house)
    house.store.outputs.put_failures([failure(key("b"), state=FailureState.REPLAYED)])
    assert counts(panopticon("status", "--json")) == [3, 1, 0, 1, 1, 1]


def test_without_a_model_that_takes_uploads_it_shows_how_to_begin(
    panopticon: Panopticon, house: House
) -> None:
    ran = panopticon("status")
    assert (ran.code, ran.out.startswith("No model takes uploads: panopticon index PATH")) == (0, True)
    house.register(TAGGER)
    house.retire(TAGGER)
    assert panopticon("status").out == ran.out


def test_watch_shows_reading_after_reading_until_it_is_interrupted(
    panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    house.register(TAGGER)
    house.store.catalogue.put([image(str(number)) for number in range(10)])
    house.broker.model_queue(TAGGER).submit([b"{}"], Lane.LIVE)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        house.store.outputs.put([output(key(str(len(pauses))))])

    monkeypatch.setattr("time.sleep", sleep)
    ran = panopticon("status", "--watch", "--json", "--every", "5")
    snapshots = [json.loads(line)["models"][0] for line in ran.out.splitlines()]
    assert ran.code == 0
    assert [snapshot["stored"] for snapshot in snapshots] == [0, 1, 2]
    assert snapshots[1]["images_per_s"] == pytest.approx(0.2, rel=0.2)


def test_a_database_of_another_program_is_one_line(panopticon: Panopticon, tmp_path: object) -> None:
    complaint = panopticon("--database", "postgres://u:p@h/db", "status").complaint
    assert complaint == "unknown store scheme 'postgres'; known: sqlite, cassandra"


def waits_with(house: House, **changes: Any) -> None:
    """Let a message wait for the tagger, and a worker of it run."""
    house.register(TAGGER)
    house.store.catalogue.put([image("d")])
    house.broker.model_queue(TAGGER).submit([b"{}"], Lane.LIVE)
    house.store.heartbeats.put(replace(heartbeat(at_ms=int(time.time() * 1000)), **changes))


def test_a_queue_whose_worker_runs_is_not_pointed_out(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    waits_with(house, state=ProcessState.READY, component="", reason="")
    shown = panopticon("status").out
    assert "no worker takes from its queue" not in shown
    (line,) = [line for line in shown.splitlines() if "gpu-7:4711" in line]
    assert line.split()[:5] == ["tagger@1", "gpu-7:4711", "litert", "5" * 12, "12.5"]
    assert "ready for" in line


def test_a_queue_whose_workers_are_all_parked_is_pointed_out_with_the_reason(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    waits_with(house, reason="https://bob:secret@photos/ refused")
    shown = panopticon("status").out
    assert "tagger@1: every worker is parked: source: https://***@photos/ refused" in shown


def test_the_processes_are_in_the_json(panopticon: Panopticon, house: House, pauses: list[float]) -> None:
    waits_with(house)
    (process,) = panopticon("status", "--json").json["processes"]
    assert list(process) == [
        "role",
        "version",
        "host",
        "pid",
        "digest",
        "engine",
        "state",
        "component",
        "reason",
        "since",
        "images_per_s",
        "started_at",
        "at",
    ]
    assert (process["version"], process["state"], process["component"]) == ("tagger@1", "parked", "source")


def search_apart(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the program search in a file of its own, which does not exist."""
    path = tmp_path / "search.db"
    monkeypatch.setenv("PANOPTICON_SEARCH", f"sqlite:///{path}")
    return path


def test_the_documents_of_search_are_compared_with_the_list_of_ids(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    house.register(TAGGER)
    house.plant("a", "b", outputs={TAGGER: {}})
    house.plant("c", outputs={TAGGER: {}}, document=False)
    house.store.catalogue.put([image("d", event="deleted")])
    house.search.apply([deletion("d")])
    ran = panopticon("status", "--json")
    images = ran.json["images"]
    assert (images["listed"], images["documents"], images["lacking"], images["problem"]) == (4, 3, 1, "")
    assert (row(ran)["in_search"], row(ran)["waiting"]) == (2, 0)
    shown = panopticon("status").out
    assert "Search has 3 documents for 4 images, deleted ones included" in shown
    assert "Search lacks 1 image, besides those on their way: panopticon search rebuild --all" in shown


def test_images_on_their_way_are_not_missing_in_search(
    panopticon: Panopticon, house: House, pauses: list[float]
) -> None:
    house.register(TAGGER)
    house.plant("a", outputs={TAGGER: {}}, document=False)
    house.broker.results().submit([b"{}"], Lane.LIVE)
    assert panopticon("status", "--json").json["images"]["lacking"] == 0


def test_a_lost_index_is_one_line_and_is_not_created(
    panopticon: Panopticon, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    fill(house)
    path = search_apart(house, tmp_path, monkeypatch)
    ran = panopticon("status")
    (line,) = [line for line in ran.out.splitlines() if "panopticon search rebuild --all" in line]
    assert (ran.code, line.startswith(f"search unavailable: {path}: there is no such file")) == (0, True)
    assert panopticon("status", "--json").json["images"]["documents"] is None
    assert not path.exists()


class TestWithoutLedger:
    """A store that cannot count, as a cluster is."""

    @pytest.fixture(autouse=True)
    def _no_ledger(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(SqliteStore, "counts", None)

    def test_accepted_images_are_those_of_the_list_and_nothing_is_guessed(
        self, panopticon: Panopticon, house: House, pauses: list[float]
    ) -> None:
        house.register(TAGGER)
        house.plant("a", "b", outputs={TAGGER: {}})
        house.plant("c")
        house.broker.model_queue(TAGGER).submit([b"{}"], Lane.LIVE)
        ran = panopticon("status", "--json")
        assert counts(ran) == [3, None, None, None, None, None]
        assert (row(ran)["in_search"], row(ran)["waiting"]) == (2, 1)

    def test_people_see_these_counts_and_no_question_marks(
        self, panopticon: Panopticon, house: House, pauses: list[float]
    ) -> None:
        house.register(TAGGER)
        house.plant("a", "b", outputs={TAGGER: {}})
        shown = panopticon("status").out
        lines = [line.split() for line in shown.splitlines()]
        assert ["model", "accepted", "in", "search", "waiting"] in lines
        assert ["tagger@1", "2", "2", "0"] in lines
        assert "?" not in shown

    def test_rate_and_time_left_are_those_of_search(
        self, panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
    ) -> None:
        house.register(TAGGER)
        house.store.catalogue.put([image(str(number)) for number in range(10)])
        house.broker.model_queue(TAGGER).submit([b"{}"] * 6, Lane.LIVE)

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            house.plant(*map(str, range(4)), outputs={TAGGER: {}})

        monkeypatch.setattr("time.sleep", sleep)
        fields = row(panopticon("status", "--json"))
        rate, eta_s = fields["images_per_s"], fields["eta_s"]
        # Four images in the four seconds of the pause, and in whatever time the program itself takes.
        assert isinstance(rate, float)
        assert 0 < rate <= 1
        assert eta_s == pytest.approx(6 / rate)

    def test_an_incomplete_list_is_pointed_out_and_accepted_images_are_unknown(
        self, panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
    ) -> None:
        house.register(TAGGER)
        house.plant("a", "b", outputs={TAGGER: {}})
        monkeypatch.setattr(SqliteImageList, "count", lambda _: 1)
        assert counts(panopticon("status", "--json"))[0] is None
        line = "The list of IDs lacks at least 1 image of an earlier release: panopticon ids add"
        assert line in panopticon("status").out
