"""`panopticon backfill`: run a version over a list, and manage that from any terminal."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from panopticon.messages import Lane, decode_image_message
from panopticon.registry.records import VersionState
from panopticon.results.backfills import Backfill, BackfillState
from tests.contracts.backfills import backfill
from tests.contracts.examples import TAGGER, deletion, image, part, result
from tests.house import House
from tests.workers.cli.conftest import Panopticon


@pytest.fixture(autouse=True)
def album(house: House, pauses: list[float]) -> None:
    """Store five images; only `a` and `b` are missing an output."""
    house.register()
    house.plant("a", "b")
    house.plant("stored", outputs={TAGGER: {}}, document=False)
    house.plant("dead", failures=[TAGGER])
    house.store.catalogue.put([image("deleted", event="deleted")])


def keep(house: House, **fields: object) -> Backfill:
    """Store the record of another process, which has not written its heartbeat for long."""
    record = replace(backfill(), **fields)  # type: ignore[arg-type]
    house.store.backfills.swap(None, record)
    return record


def sent(house: House) -> list[str]:
    return [decode_image_message(body).image_id for body in house.waiting()]


def test_missing_images_are_submitted_and_the_others_are_counted(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_text("b\na\nstored\ndead\ndeleted\nnobody\n")
    ran = panopticon("backfill", "--model", "tagger@1", "--ids", "ids.txt")
    first, *others = ran.out.splitlines()
    assert first.startswith("tagger@1-")
    assert first.endswith(" is done: 2 submitted, 1 stored already, 2 skipped (deleted or dead), 1 unknown.")
    assert others == [
        "1 ID not in the catalogue: nobody; add images with panopticon submit",
        "Next: panopticon status --watch",
    ]
    assert (ran.code, sent(house)) == (0, ["a", "b"])


def test_ids_are_read_from_standard_input_and_the_result_is_json(panopticon: Panopticon) -> None:
    ran = panopticon("backfill", "--model", "tagger@1", "--ids", "-", "--json", stdin=b"a\nb\nnobody\n")
    counts = ("looked_at", "total", "submitted", "stored", "skipped", "unknown")
    assert [ran.json[name] for name in counts] == [3, 3, 2, 0, 0, 1]
    assert (ran.json["state"], ran.json["model"], ran.json["source"]) == ("done", "tagger@1", "-")
    assert ran.json["unknown_ids"] == ["nobody"]


def test_ids_can_be_drawn_from_search(panopticon: Panopticon, house: House) -> None:
    house.search.apply([result(name, part(), name="quality_1") for name in ("a", "stored", "gone")])
    house.search.apply([deletion("gone")])
    ran = panopticon("backfill", "--model", "tagger@1", "--from-search", "--json")
    assert (ran.json["looked_at"], ran.json["total"], ran.json["submitted"]) == (2, 2, 1)
    assert sent(house) == ["a"]


def test_every_image_of_the_catalogue_can_be_run(panopticon: Panopticon, house: House) -> None:
    ran = panopticon("backfill", "--model", "tagger@1", "--all", "--json")
    counts = ("looked_at", "total", "submitted", "stored", "skipped", "unknown")
    assert [ran.json[name] for name in counts] == [5, 5, 2, 1, 2, 0]
    assert (ran.json["name"], ran.json["source"], sent(house)) == ("tagger@1-all", "all", ["a", "b"])
    assert "drawn from the list of all images" in panopticon("backfill", "show", "tagger@1-all").out


def test_an_unfinished_backfill_of_every_image_continues_after_its_last_id(
    panopticon: Panopticon, house: House
) -> None:
    panopticon("backfill", "--model", "tagger@1", "--all")
    known = house.store.backfills.read("tagger@1-all")
    assert known is not None
    running = known.changed(at_ms=1, state=BackfillState.RUNNING, cursor=1, after="a", heartbeat_at_ms=0)
    house.store.backfills.swap(known, running)
    house.waiting()
    assert "panopticon backfill --model tagger@1 --all" in panopticon("backfill", "show", "tagger@1-all").out
    ran = panopticon("backfill", "--model", "tagger@1", "--all")
    assert "tagger@1-all continues after 1 of 5 IDs." in ran.err
    assert sent(house) == ["b"]


def test_a_second_run_of_a_finished_list_submits_what_is_still_missing(
    panopticon: Panopticon, house: House
) -> None:
    panopticon("backfill", "--model", "tagger@1", "--ids", "-", stdin=b"a\nb\n")
    house.plant("a", outputs={TAGGER: {}})
    ran = panopticon("backfill", "--model", "tagger@1", "--ids", "-", "--json", stdin=b"b\na\n")
    assert (ran.json["submitted"], ran.json["stored"]) == (1, 1)
    assert len(house.store.backfills.names()) == 1


def test_an_unfinished_backfill_continues_after_its_cursor(panopticon: Panopticon, house: House) -> None:
    panopticon("backfill", "--model", "tagger@1", "--ids", "-", stdin=b"a\nb\n")
    (name,) = house.store.backfills.names()
    known = house.store.backfills.read(name)
    assert known is not None
    running = known.changed(at_ms=known.changed_at_ms, state=BackfillState.RUNNING, cursor=1, submitted=1)
    house.store.backfills.swap(known, running)
    house.waiting()
    ran = panopticon("backfill", "--model", "tagger@1", "--ids", "-", stdin=b"a\nb\n")
    assert f"{name} continues after 1 of 2 IDs." in ran.err
    assert sent(house) == ["b"]
    assert "2 submitted" in ran.out


def test_the_queues_of_the_version_are_bound(panopticon: Panopticon, house: House) -> None:
    house.broker.topology.unbind(TAGGER)
    panopticon("backfill", "--model", "tagger@1", "--ids", "-", stdin=b"a\n")
    assert TAGGER in house.broker.topology.bound()


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        (
            VersionState.REGISTERED,
            "uploads do not reach tagger@1 yet; first: panopticon models shadow tagger@1",
        ),
        (VersionState.RETIRED, "tagger@1 is retired and takes no images any more"),
    ],
)
def test_a_version_that_takes_no_images_is_refused(
    panopticon: Panopticon, house: House, state: VersionState, complaint: str
) -> None:
    house.set_state(TAGGER, state)
    ran = panopticon("backfill", "--model", "tagger@1", "--ids", "-", stdin=b"a\n")
    assert ran.complaint == complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("--model", "tagger@9", "--ids", "-"),
            "tagger@9 is not registered; registered: tagger@1",
        ),
        (("--model", "tagger", "--ids", "-"), "no model version: 'tagger'"),
        (
            ("--model", "tagger@1"),
            "give either --ids FILE, with one image ID per line, --all or --from-search",
        ),
        (("--model", "tagger@1", "--ids", "-", "--from-search"), "give either --ids FILE"),
        (("--model", "tagger@1", "--ids", "nowhere"), "cannot read nowhere: No such file or directory"),
        (("--model", "tagger@1", "--ids", "."), "cannot read .: Is a directory"),
        (
            ("--model", "tagger@1", "--ids", "-"),
            r"standard input, line 3: 'x\x07y' is not an image ID: it must not contain control characters",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_applied(
    panopticon: Panopticon, house: House, arguments: tuple[str, ...], complaint: str
) -> None:
    ran = panopticon("backfill", *arguments, stdin=b"a\nb\nx\x07y\n")
    assert ran.complaint.startswith(complaint)
    assert (sent(house), house.store.backfills.names()) == ([], ())


def test_a_cancelled_backfill_makes_exit_code_1(
    panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.broker.model_queue(TAGGER).submit([b"{}"] * 10, Lane.BACKFILL)

    def sleep(_: float) -> None:
        (name,) = house.store.backfills.names()
        panopticon("backfill", "cancel", name)

    monkeypatch.setattr("time.sleep", sleep)
    ran = panopticon(
        "--set", "backfill_waiting=10", "backfill", "--model", "tagger@1", "--ids", "-", stdin=b"a\nb\n"
    )
    assert ran.code == 1
    assert "was cancelled after 0 of 2 IDs: 0 submitted" in ran.out


def test_pause_resume_and_cancel_change_the_record(panopticon: Panopticon, house: House) -> None:
    name = keep(house).name
    states = []
    for word in ("pause", "resume", "cancel"):
        assert panopticon("backfill", word, name).code == 0
        record = house.store.backfills.read(name)
        assert record is not None
        states.append(record.state)
    assert states == [BackfillState.PAUSED, BackfillState.RUNNING, BackfillState.CANCELLED]
    assert (
        "is cancelled; to start it again, repeat its command"
        in panopticon("backfill", "resume", name).complaint
    )


def test_resuming_a_backfill_without_a_process_prints_its_command(
    panopticon: Panopticon, house: House
) -> None:
    name = keep(house, state=BackfillState.PAUSED).name
    ran = panopticon("backfill", "resume", name)
    assert (
        "No process runs it; start one: panopticon backfill --model tagger@2 --ids 'Grüße 🦒.txt'" in ran.out
    )


@pytest.mark.parametrize("word", ["show", "pause", "resume", "cancel"])
def test_an_unknown_name_is_one_line_with_the_known_names(
    panopticon: Panopticon, house: House, word: str
) -> None:
    keep(house)
    complaint = "unknown backfill 'x'; known: tagger@2-1f3a"
    assert panopticon("backfill", word, "x").complaint == complaint


def test_every_backfill_is_listed(panopticon: Panopticon, house: House) -> None:
    assert "No backfill yet" in panopticon("backfill", "list").out
    keep(house)
    panopticon("backfill", "--model", "tagger@1", "--ids", "-", stdin=b"a\n")
    listed = panopticon("backfill", "list", "--json").json["backfills"]
    assert [record["model"] for record in listed] == ["tagger@1", "tagger@2"]
    shown = panopticon("backfill", "list").out
    assert ["tagger@2-1f3a", "running,", "no", "process", "0", "/", "3"] in [
        line.split()[:7] for line in shown.splitlines()
    ]


def test_a_backfill_is_shown_with_its_author_and_process(panopticon: Panopticon, house: House) -> None:
    name = keep(house, ids_sha256="").name
    shown = panopticon("backfill", "show", name)
    assert "run by             no process" in shown.out
    assert "drawn from search" in shown.out
    assert "No process runs it; start one: panopticon backfill --model tagger@2 --from-search" in shown.out
    assert panopticon("backfill", "show", name, "--json").json["fed"] is False


def test_status_shows_rate_and_time_left_of_a_running_backfill(
    panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = 1_795_262_400_000
    monkeypatch.setattr("time.time", lambda: now_ms / 1000)
    record = keep(
        house, total=1000, cursor=100, heartbeat_at_ms=now_ms, begun_at_ms=now_ms, changed_at_ms=now_ms
    )

    def sleep(_: float) -> None:
        house.store.backfills.swap(
            record, record.changed(at_ms=now_ms, cursor=300, heartbeat_at_ms=now_ms + 4000)
        )

    monkeypatch.setattr("time.sleep", sleep)
    (shown,) = panopticon("--set", "settle_s=1", "status", "--json").json["backfills"]
    assert (shown["name"], shown["looked_at"], shown["total"], shown["fed"]) == (
        record.name,
        300,
        1000,
        True,
    )
    assert (shown["ids_per_s"], shown["eta_s"]) == (50, 14)
    shown = panopticon("status").out
    assert "300 / 1,000" in shown


def test_status_prints_the_command_of_a_backfill_without_a_process_and_leaves_out_old_ones(
    panopticon: Panopticon, house: House
) -> None:
    keep(house)
    keep(house, name="old", state=BackfillState.DONE)
    ran = panopticon("status")
    assert "No process runs the backfill tagger@2-1f3a: panopticon backfill --model tagger@2 --ids" in ran.out
    assert "old" not in ran.out


def test_the_record_names_its_process(panopticon: Panopticon) -> None:
    panopticon("backfill", "--model", "tagger@1", "--ids", "-", stdin=b"a\n")
    (record,) = panopticon("backfill", "list", "--json").json["backfills"]
    assert record["runner"].startswith(f"process {os.getpid()} of ")


def test_100000_unknown_ids_are_counted_and_a_few_are_named(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    (tmp_path / "ids").write_text("".join(f"nobody-{number:06}\n" for number in range(100_000)))
    ran = panopticon("backfill", "--model", "tagger@1", "--ids", "ids", "--json")
    assert (ran.code, ran.json["unknown"], ran.json["submitted"]) == (0, 100_000, 0)
    assert ran.json["unknown_ids"] == [f"nobody-{number:06}" for number in range(5)]
    assert sent(house) == []


def test_the_printed_rate_falls_while_the_lane_is_full(
    panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"photo-{number}" for number in range(60)]
    house.plant(*names)
    now_s, begun_s = [1_795_262_400.0], 1_795_262_400.0
    monkeypatch.setattr("time.time", lambda: now_s[0])

    def sleep(seconds: float) -> None:
        now_s[0] += seconds
        monkeypatch.setattr("time.monotonic", lambda: now_s[0])
        if now_s[0] > begun_s + 12:
            house.waiting()

    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("workers.cli.live_line.PROGRESS_EVERY_S", 5.0)
    ran = panopticon(
        "--set",
        "backfill_waiting=30",
        "backfill",
        "--model",
        "tagger@1",
        "--ids",
        "-",
        stdin="\n".join(names).encode(),
    )
    lines = [line for line in ran.err.splitlines() if "processed" in line]
    assert lines[:2] == [
        "30 of 60 processed, 30 submitted, 3.0 per s, done in 10 s (its lane is full)",
        "30 of 60 processed, 30 submitted, 1.5 per s, done in 20 s (its lane is full)",
    ]


def test_interrupted_it_prints_how_to_continue(
    panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.broker.model_queue(TAGGER).submit([b"{}"] * 10, Lane.BACKFILL)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    ran = panopticon(
        "--set", "backfill_waiting=10", "backfill", "--model", "tagger@1", "--ids", "-", stdin=b"a\n"
    )
    assert (ran.code, "stopped; run the same command again to continue." in ran.err) == (130, True)


def test_a_name_is_whole_in_a_terminal_of_80_columns(
    panopticon: Panopticon, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = "".join(f"{number}\n" for number in range(12_345)).encode()
    shown = panopticon("backfill", "--model", "quality@1", "--ids", "-", "--json", stdin=ids).json
    monkeypatch.setattr("workers.cli.session.PIPED_WIDTH", 80)
    assert shown["name"] in panopticon("backfill", "list").out
    assert "12,345 unknown" in panopticon("backfill", "show", shown["name"]).out
