"""The parent process learns the state of its children from the events that they log."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from panopticon.errors import Unavailable
from panopticon.metrics import Metrics
from panopticon.models import parse_version
from panopticon.settings import Settings
from tests.end_to_end.command import MODELS
from workers.runtime.child_processes import ChildProcesses, ProcessEnded
from workers.runtime.log_events import JsonFormatter, LogEvent, parse_log_event
from workers.runtime.parking import Parking

NEVER_READY = parse_version("unfit@1")
UNKNOWN = parse_version("nobody@1")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        database=f"sqlite:///{tmp_path / 'house.db'}",
        models_dir=MODELS,
        cache_dir=tmp_path / "cache",
        park_max_s=0.2,
        grace_s=5.0,
    )


def events_until(processes: ChildProcesses, wanted: Callable[[LogEvent], bool]) -> list[LogEvent]:
    """All events up to the first that is wanted."""
    events: list[LogEvent] = []
    for _ in range(300):
        events += processes.events()
        if any(wanted(event) for event in events):
            return events
        time.sleep(0.1)
    raise AssertionError(f"it was not logged: {events}")


def test_a_child_that_parks_reports_it_with_its_level_and_its_reason(settings: Settings) -> None:
    processes = ChildProcesses(settings)
    with processes.running([NEVER_READY]):
        events = events_until(processes, lambda event: bool(event.parked))
    (parked,) = [event for event in events if event.parked]
    assert (parked.name, parked.level) == ("unfit@1", logging.WARNING)
    assert parked.message.startswith("parked: model unavailable")


def test_a_child_that_ends_by_itself_is_an_error_of_one_line_with_the_cause_and_its_exit_code(
    settings: Settings,
) -> None:
    processes = ChildProcesses(settings)
    with processes.running([UNKNOWN]), pytest.raises(ProcessEnded) as ended:
        events_until(processes, lambda event: False)
    (line,) = str(ended.value).splitlines()
    assert line.startswith("nobody@1 ended by itself: unknown model")
    assert ended.value.exit_code == 2


def test_the_last_words_of_a_child_are_quoted_without_a_line_feed_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nprintf 'first line\nlast words' >&2\nexit 134\n")
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    processes = ChildProcesses(settings)
    with processes.running([UNKNOWN]), pytest.raises(ProcessEnded) as ended:
        events_until(processes, lambda event: False)
    # Worker and indexer both end so, and either may be the first that is seen.
    first, *rest = str(ended.value).splitlines()
    assert (first.endswith(" ended by itself"), rest) == (True, ["first line", "last words"])


def test_children_drain_and_end_when_the_block_is_left(settings: Settings, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    processes = ChildProcesses(settings.model_copy(update={"ready_file": ready}))
    with processes.running([]):
        (indexer,) = [child.process for child in processes._children]
        while not ready.exists():
            assert all(event.level < logging.WARNING for event in processes.events())
            time.sleep(0.05)
    assert indexer.poll() == 0


def test_a_person_who_starts_a_program_reads_text(settings: Settings) -> None:
    environ = {**os.environ, **settings.as_environ()}
    command = [sys.executable, "-m", "workers.cli.main", "worker", "--model", str(NEVER_READY)]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        line = next(line for line in worker.stderr if "parked" in line)
        worker.terminate()
    assert " unfit@1 WARNING parked: model unavailable" in line


def formatted(log: Callable[[], object], caplog: pytest.LogCaptureFixture) -> LogEvent:
    """The event that a parent reads of what `log` logs."""
    caplog.clear()
    log()
    (record,) = caplog.records
    event = parse_log_event(JsonFormatter(name="tagger@1").format(record))
    assert event is not None
    return event


def test_parking_and_resuming_are_told_apart_from_other_warnings(caplog: pytest.LogCaptureFixture) -> None:
    parking = Parking(max_s=1, clock=lambda: 0.0, metrics=Metrics())
    parked = formatted(lambda: parking.park(Unavailable("store", "no answer")), caplog)
    resumed = formatted(parking.resume, caplog)
    other = formatted(lambda: logging.getLogger("x").warning("%d images\nwait", 3), caplog)
    assert [event.parked for event in (parked, resumed, other)] == [True, False, None]
    assert resumed.message == "resumed: store is back"
    assert (other.name, other.level, other.message) == ("tagger@1", logging.WARNING, "3 images\nwait")


def test_an_exception_is_logged_with_its_traceback_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        try:
            raise ValueError("no such thing")
        except ValueError:
            logging.getLogger("x").exception("failed")

    event = formatted(fail, caplog)
    assert event.level == logging.ERROR
    assert event.message.splitlines()[0] == "failed"
    assert event.message.splitlines()[-1] == "ValueError: no such thing"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Traceback (most recent call last):",
        "5",
        "[]",
        "{}",
        '{"name": "x"}',
        '{"name": "x", "level": "high", "message": ""}',
    ],
)
def test_a_line_that_is_not_an_event_is_none(line: str) -> None:
    assert parse_log_event(line) is None
