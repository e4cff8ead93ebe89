"""The parent side of a model process, against a child that a test plays frame by frame."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panopticon.cards.cards import ModelCard, read_card
from panopticon.errors import Rejected
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.models.golden_files import control_picture
from panopticon.scheduling.dispatch import CONTROL_ID, Phase
from panopticon.scheduling.items import Answer, Item, NotRun, Ran
from panopticon.settings import Settings
from tests.panopticon.null_card import write_null_card
from tests.workers.model_process.test_gpu import stand_in_for_nvidia_smi
from tests.workers.queues.fake_clock import FakeClock
from workers.model_process.client import SILENCE_TIMEOUT_S, START_TIMEOUT_S, ModelClient
from workers.model_process.frames import (
    MAX_ENCODED_BYTES,
    PROTOCOL,
    AliveFrame,
    CancelFrame,
    DroppedFrame,
    Frame,
    FrameStream,
    HelloFrame,
    OutputFrame,
    PeerGone,
    RejectedFrame,
    TransientFrame,
    UnavailableFrame,
)
from workers.model_process.progress import ProgressWriter

BEST_BATCH = 1
CREDIT = 3
ITEM_TIMEOUT_S = 60.0


class ChildFake:
    """Stands in for `subprocess.Popen`: nothing is started, the test speaks for the child."""

    pid = 1

    def __init__(self, descriptor: int, progress: int) -> None:
        self.stream = FrameStream(socket.socket(fileno=os.dup(descriptor)))
        self.pipe = os.fdopen(os.dup(progress), "wb")
        self.progress = ProgressWriter(self.pipe.fileno())
        self.items: list[int] = []
        self.status: int | None = None

    def send(self, *frames: Frame) -> None:
        self.stream.send(frames)

    def started(self, phase: str, *ids: int) -> None:
        """Report a step, which the client reads when it needs to know."""
        self.progress.started(ids, Phase(phase))

    def close(self) -> None:
        self.stream.close()
        self.pipe.close()

    def hello(self, card: ModelCard, **other: Any) -> None:
        hello = HelloFrame(
            protocol=PROTOCOL,
            model=card.name,
            version=card.version,
            digest=card.digest,
            engine="null",
            libraries="numpy",
            best_batch=BEST_BATCH,
            dim=3,
        )
        self.send(replace(hello, **other))

    def items_heard(self) -> list[Item]:
        """The items that came since the last look."""
        try:
            return [frame for frame in self.stream.receive(wait_s=0) if isinstance(frame, Item)]
        except PeerGone:
            return []

    def heard(self) -> list[int]:
        """The ids of the items that came since the last look."""
        return [item.id for item in self.items_heard()]

    def die(self, status: int = -signal.SIGSEGV) -> None:
        self.heard()
        self.status = status
        self.close()

    def poll(self) -> int | None:
        return self.status

    def kill(self) -> None:
        self.status = -signal.SIGKILL

    def wait(self, timeout: float | None = None) -> int:
        if self.status is None:
            assert timeout is not None, "a wait without a limit"
            raise subprocess.TimeoutExpired("child", timeout)
        self.close()
        return self.status


def output(id_: int, *, elements: int = 3) -> OutputFrame:
    return OutputFrame(
        id=id_,
        vector=np.full(elements, id_, dtype=np.float32).tobytes(),
        prepare_s=0.1,
        source_sha256="0" * 64,
        width_px=1,
        height_px=1,
    )


def outcomes_of(answers: Sequence[Answer]) -> list[tuple[int, str]]:
    """(id, "ran" or the reason) of each answer."""
    return [(answer.item.id, "ran" if isinstance(answer, Ran) else answer.error.reason) for answer in answers]


class Bench:
    """One client, and the children it has started."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.clock = FakeClock()
        self.children: list[ChildFake] = []
        self.metrics = Metrics()
        settings = Settings(item_timeout_s=ITEM_TIMEOUT_S, park_max_s=8.0)
        self.client = ModelClient(card, settings, metrics=self.metrics, clock=self.clock.monotonic)

    def popen(
        self,
        command: list[str],
        *,
        env: Mapping[str, str],
        pass_fds: Sequence[int],
        stdin: int,
        start_new_session: bool,
    ) -> ChildFake:
        options = [word for word in command if word.startswith("--")]
        assert options == [
            f"--fd={pass_fds[0]}",
            f"--progress-fd={pass_fds[1]}",
            f"--card={self.card.folder / 'card.toml'}",
        ]
        assert env["PANOPTICON_ITEM_TIMEOUT_S"] == str(ITEM_TIMEOUT_S)
        assert stdin == subprocess.DEVNULL
        assert start_new_session
        self.children.append(ChildFake(pass_fds[0], pass_fds[1]))
        return self.children[-1]

    @property
    def child(self) -> ChildFake:
        return self.children[-1]

    def poll(self) -> list[tuple[int, str]]:
        return outcomes_of(self.client.poll(wait_s=0))

    def add(self, number: int) -> None:
        for each in range(number):
            self.client.add(Lane.LIVE, uri=f"file:///{each}")

    def bury(self) -> list[tuple[int, str]]:
        """The answers that come until the death of the child is known."""
        answers: list[tuple[int, str]] = []
        for _ in range(3):
            answers += self.poll() if self.client.pid is not None else []
        assert self.client.pid is None
        return answers

    def greeted(self) -> ChildFake:
        """The next child, with what waits for it sent."""
        started_before = len(self.children)
        while len(self.children) == started_before:
            self.clock.now_s += 1
            self.poll()
        self.child.hello(self.card)
        self.poll()
        return self.child


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(write_null_card(tmp_path / "card"))
    monkeypatch.setattr(subprocess, "Popen", made.popen)
    yield made
    made.client.close()
    for child in made.children:
        child.close()


def test_nothing_is_sent_before_hello(bench: Bench) -> None:
    bench.add(1)
    bench.poll()
    bench.poll()
    assert (bench.child.heard(), bench.client.hello, bench.client.credit) == ([], None, 0)


def test_after_hello_as_much_is_sent_as_there_is_credit_for(bench: Bench) -> None:
    bench.add(5)
    child = bench.greeted()
    assert bench.client.credit == CREDIT
    assert child.heard() == [1, 2, 3]


def test_the_start_the_death_and_the_restart_of_a_child_are_logged_with_their_level(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.greeted().die()
    bench.bury()
    bench.greeted()
    bench.client.close()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "model process 1 started"),
        ("WARNING", "model process 1 ended: signal 11 (died)"),
        ("INFO", "model process 1 started again"),
        ("INFO", "model process 1 ended: signal 9 (closed)"),
    ]


def test_each_answer_makes_room_for_one_more(bench: Bench) -> None:
    bench.add(5)
    child = bench.greeted()
    child.heard()
    child.send(output(2))
    assert bench.poll() == [(2, "ran")]
    assert child.heard() == [4]


def test_an_answer_carries_the_vector_and_the_engine_that_made_it(bench: Bench) -> None:
    bench.add(1)
    bench.greeted().send(output(1))
    (answer,) = bench.client.poll(wait_s=0)
    assert isinstance(answer, Ran)
    assert (answer.vector.tolist(), answer.engine, answer.libraries) == ([1, 1, 1], "null", "numpy")
    assert answer.item.uri == "file:///0"


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        (RejectedFrame(id=1, reason="corrupt", detail="d"), "corrupt: d"),
        (TransientFrame(id=1, reason="io_error", detail="d"), "io_error: d"),
        (UnavailableFrame(id=1, component="source", reason="no answer"), "source unavailable: no answer"),
    ],
)
def test_an_image_that_was_not_run_comes_with_its_error(bench: Bench, frame: Frame, shown: str) -> None:
    bench.add(1)
    bench.greeted().send(frame)
    (answer,) = bench.client.poll(wait_s=0)
    assert isinstance(answer, NotRun)
    assert str(answer.error) == shown


def test_what_was_answered_just_before_the_child_died_is_not_lost(bench: Bench) -> None:
    bench.add(5)
    child = bench.greeted()
    child.send(output(1), output(2))
    child.die()
    assert bench.poll() == [(1, "ran"), (2, "ran")]
    assert len(bench.client) == 3


def test_what_the_child_sent_before_it_died_is_read_though_sending_fails_first(bench: Bench) -> None:
    bench.add(1)
    child = bench.greeted()
    child.send(output(1))
    bench.add(1)
    child.die()
    assert bench.poll() == [(1, "ran")]
    assert len(bench.client) == 1


def test_a_child_that_died_is_started_again_at_once_and_gets_what_was_unanswered(bench: Bench) -> None:
    bench.add(2)
    child = bench.greeted()
    child.started("decode", 1)
    child.die()
    assert bench.bury() == []
    bench.poll()
    assert len(bench.children) == 2
    bench.child.hello(bench.card)
    bench.poll()
    assert bench.child.heard() == [1]
    bench.child.send(output(1))
    assert bench.poll() == [(1, "ran")]
    assert bench.child.heard() == [2]


def kill_alone(bench: Bench, id_: int) -> None:
    """The next child gets this image alone, and dies on it."""
    child = bench.greeted()
    assert child.heard() == [id_]
    child.started("run", id_)
    child.die()
    assert bench.bury() == []


def test_an_image_that_kills_two_children_alone_fails_once_the_golden_image_has_run(bench: Bench) -> None:
    bench.add(1)
    for _ in range(2):
        kill_alone(bench, 1)
    child = bench.greeted()
    (control,) = child.items_heard()
    assert control.encoded == control_picture(bench.card)
    child.send(output(CONTROL_ID))
    assert bench.poll() == []
    assert child.heard() == [1]
    child.started("run", 1)
    child.die()
    assert bench.bury() == []
    bench.greeted().send(output(CONTROL_ID))
    assert bench.poll() == [(1, "killed_process")]
    assert bench.client.down is None


@pytest.mark.parametrize("images", [1, 2, 3])
def test_a_model_that_dies_on_the_golden_image_too_is_down_and_fails_no_image(
    bench: Bench, images: int
) -> None:
    bench.add(images)
    bench.greeted().started("run", *range(1, images + 1))
    bench.child.die()
    assert bench.bury() == []
    kill_alone(bench, 1)
    for _ in range(3):
        kill_alone(bench, CONTROL_ID)
        assert "ended on a picture that is known to be good" in str(bench.client.down)
        assert len(bench.client) == images


def test_a_model_that_hangs_on_the_golden_image_too_is_down_and_fails_no_image(bench: Bench) -> None:
    bench.add(1)
    for id_ in (1, CONTROL_ID):
        child = bench.greeted()
        assert child.heard() == [id_]
        child.started("run", id_)
        child.send(AliveFrame(cpu_s={}))
        bench.poll()
        bench.clock.now_s += ITEM_TIMEOUT_S + 1
        assert bench.poll() == []
    assert "it took more than 60 s" in str(bench.client.down)
    assert len(bench.client) == 1


def test_an_item_may_carry_the_encoded_image_itself(bench: Bench) -> None:
    bench.client.add(Lane.LIVE, encoded=b"GIF89a")
    bench.client.add(Lane.BACKFILL, uri="file:///1")
    child = bench.greeted()
    assert child.items_heard() == [
        Item(id=1, lane=Lane.LIVE, uri="", encoded=b"GIF89a"),
        Item(id=2, lane=Lane.BACKFILL, uri="file:///1", encoded=None),
    ]


def test_an_image_too_large_for_a_frame_is_refused_at_once_and_harms_no_other(bench: Bench) -> None:
    bench.add(1)
    with pytest.raises(Rejected, match="too_many_bytes"):
        bench.client.add(Lane.LIVE, encoded=bytes(MAX_ENCODED_BYTES + 1))
    assert bench.greeted().heard() == [1]


def test_a_child_that_dies_before_hello_means_that_the_model_is_down(bench: Bench) -> None:
    bench.add(1)
    bench.poll()
    bench.child.die(status=70)
    bench.poll()
    assert "ended before its self-test (exit code 70" in str(bench.client.down)
    assert len(bench.client) == 1


def test_a_model_that_is_down_is_started_ever_less_often_and_is_up_at_hello(bench: Bench) -> None:
    began_s = bench.clock.now_s
    while bench.clock.now_s < began_s + 100:
        bench.poll()
        if bench.client.pid is not None:
            bench.child.die()
        bench.clock.now_s += 0.25
    assert 100 / 8.5 - 1 <= len(bench.children) <= 100 / 4 + 5
    bench.greeted()
    assert (bench.client.down, bench.client.credit) == (None, CREDIT)


def test_a_failed_self_test_is_reported_with_its_reason(bench: Bench) -> None:
    bench.poll()
    bench.child.send(UnavailableFrame(id=0, component="model", reason="golden image differs"))
    bench.child.die(status=0)
    bench.poll()
    bench.poll()
    assert "golden image differs" in str(bench.client.down)


@pytest.mark.parametrize("other", [{"digest": "of other weights"}, {"protocol": PROTOCOL + 1}])
def test_a_child_of_another_card_is_ended_and_tried_again(bench: Bench, other: dict[str, Any]) -> None:
    bench.add(1)
    bench.poll()
    bench.child.hello(bench.card, **other)
    bench.poll()
    assert (str(bench.client.down)[:17], bench.client.pid) == ("model unavailable", None)
    assert bench.greeted().heard() == [1]
    assert bench.client.down is None


def test_an_overdue_image_fails_and_its_child_is_killed(bench: Bench) -> None:
    bench.add(2)
    child = bench.greeted()
    child.started("decode", 1)
    child.send(AliveFrame(cpu_s={}))
    bench.poll()
    bench.clock.now_s += ITEM_TIMEOUT_S + 1
    child.send(AliveFrame(cpu_s={}))
    assert bench.poll() == [(1, "timed_out")]
    assert child.poll() == -signal.SIGKILL
    assert bench.greeted().heard() == [2]


def test_an_image_that_has_gone_on_since_the_last_look_is_not_overdue(bench: Bench) -> None:
    bench.add(1)
    child = bench.greeted()
    child.started("decode", 1)
    child.send(AliveFrame(cpu_s={}))
    bench.poll()
    bench.clock.now_s += ITEM_TIMEOUT_S + 1
    child.started("ready", 1)
    assert bench.poll() == []
    assert child.poll() is None


def test_a_step_that_an_image_has_reached_wakes_nobody(bench: Bench) -> None:
    bench.add(1)
    child = bench.greeted()
    child.started("decode", 1)
    descriptor = bench.client.fileno()
    assert descriptor is not None
    assert select.select([descriptor], [], [], 0) == ([], [], [])


def test_an_image_whose_answer_is_not_read_yet_is_not_overdue(bench: Bench) -> None:
    """This side was slow: a store may block for longer than an image may take."""
    bench.add(2)
    child = bench.greeted()
    child.started("decode", 1, 2)
    child.send(AliveFrame(cpu_s={}))
    bench.poll()
    bench.clock.now_s += ITEM_TIMEOUT_S + 1
    child.send(output(1, elements=100_000), output(2))
    answers = bench.poll()
    assert sorted(answers) == [(1, "ran"), (2, "ran")]
    assert child.poll() is None


@pytest.mark.parametrize("greeted", [True, False])
def test_a_silent_child_is_killed(bench: Bench, greeted: bool) -> None:
    bench.add(1)
    if greeted:
        bench.greeted()
    else:
        bench.poll()
    child = bench.child
    limit_s = SILENCE_TIMEOUT_S + ITEM_TIMEOUT_S if greeted else START_TIMEOUT_S
    bench.clock.now_s += limit_s
    bench.poll()
    assert child.poll() is None
    bench.clock.now_s += 1
    assert bench.poll() == []
    assert child.poll() == -signal.SIGKILL
    assert (bench.client.down is None) == greeted


def test_a_child_that_gives_signs_of_life_may_be_slow(bench: Bench) -> None:
    bench.add(1)
    child = bench.greeted()
    for _ in range(10):
        bench.clock.now_s += SILENCE_TIMEOUT_S
        child.send(AliveFrame(cpu_s={"run": 1.0}))
        assert bench.poll() == []
    assert child.poll() is None


def test_the_cpu_seconds_of_one_child_after_another_add_up(bench: Bench) -> None:
    bench.add(1)
    for reports in ([1.0, 3.0], [0.5]):
        child = bench.greeted()
        child.send(*(AliveFrame(cpu_s={"run": used_s}) for used_s in reports))
        bench.poll()
        child.die()
        bench.bury()
    get = bench.metrics.registry.get_sample_value
    labels = {"model": str(bench.card.version_name), "step": "run"}
    assert get("panopticon_model_cpu_seconds_total", labels) == 3.5


def test_a_child_that_sends_garbage_is_replaced(bench: Bench) -> None:
    bench.add(1)
    child = bench.greeted()
    child.started("fetch", 1)
    child.stream._connection.sendall(b"\xff\xff\xff\xff")
    assert bench.poll() == []
    assert child.poll() == -signal.SIGKILL
    assert bench.greeted().heard() == [1]


def test_an_answer_that_came_before_a_wrong_frame_counts(bench: Bench) -> None:
    bench.add(2)
    child = bench.greeted()
    child.heard()
    child.send(output(1), Item(id=9, lane=Lane.LIVE, uri="x"))
    assert bench.bury() == [(1, "ran")]
    assert bench.greeted().heard() == [2]


def test_an_image_whose_vector_is_cut_off_runs_again(bench: Bench) -> None:
    bench.add(1)
    child = bench.greeted()
    child.heard()
    child.send(replace(output(1), vector=b"123"))
    assert bench.bury() == []
    assert bench.greeted().heard() == [1]


def test_a_child_that_reports_less_cpu_time_than_before_does_no_harm(bench: Bench) -> None:
    child = bench.greeted()
    child.send(AliveFrame(cpu_s={"run": 2.0}), AliveFrame(cpu_s={"run": 1.0}))
    assert bench.poll() == []
    get = bench.metrics.registry.get_sample_value
    assert get("panopticon_model_cpu_seconds_total", {"model": "colour@1", "step": "run"}) == 2.0


def test_an_engine_without_a_best_batch_is_a_model_that_is_down(bench: Bench) -> None:
    bench.poll()
    bench.child.hello(bench.card, best_batch=-5)
    bench.poll()
    assert str(bench.client.down) == "model unavailable: its engine reports a best batch of -5 images"


def test_an_answer_about_an_image_that_is_no_longer_ours_is_dropped(bench: Bench) -> None:
    bench.add(1)
    child = bench.greeted()
    child.send(output(1), output(1), output(99))
    assert bench.poll() == [(1, "ran")]


def test_release_returns_every_item_and_keeps_none(bench: Bench) -> None:
    bench.add(5)
    bench.greeted()
    assert sorted(item.id for item in bench.client.release()) == [1, 2, 3, 4, 5]
    assert len(bench.client) == 0


def test_restarts_are_counted_by_their_reason(bench: Bench) -> None:
    bench.greeted().die()
    bench.poll()
    bench.greeted()
    get = bench.metrics.registry.get_sample_value
    assert get("panopticon_model_restarts_total", {"model": "colour@1", "reason": "died"}) == 1


def test_a_cancelled_item_that_waits_is_never_sent(bench: Bench) -> None:
    first = bench.client.add(Lane.LIVE, uri="file:///first")
    bench.add(1)
    bench.client.cancel([first])
    assert bench.greeted().heard() == [2]


def test_a_cancelled_item_that_was_sent_frees_its_credit_once_the_child_has_dropped_it(bench: Bench) -> None:
    sent = [bench.client.add(Lane.LIVE, uri="file:///x") for _ in range(CREDIT)]
    bench.add(1)
    child = bench.greeted()
    child.heard()
    bench.client.cancel(sent[:2])
    assert child.stream.receive(wait_s=0) == [CancelFrame(ids=(1, 2))]
    assert (bench.poll(), child.heard(), len(bench.client)) == ([], [], 4)
    child.send(DroppedFrame(ids=(1, 2)))
    assert (bench.poll(), child.heard(), len(bench.client)) == ([], [4], 2)


def test_a_cancelled_item_that_was_answered_all_the_same_has_no_answer(bench: Bench) -> None:
    item = bench.client.add(Lane.LIVE, uri="file:///x")
    child = bench.greeted()
    bench.client.cancel([item])
    child.send(output(1))
    assert (bench.poll(), len(bench.client)) == ([], 0)


def test_cancelling_while_the_child_is_dead_does_no_harm(bench: Bench) -> None:
    item = bench.client.add(Lane.LIVE, uri="file:///x")
    bench.add(1)
    child = bench.greeted()
    child.started("run", 2)
    child.die()
    bench.client.cancel([item])
    bench.bury()
    bench.client.cancel([item])
    assert bench.greeted().heard() == [2]


def test_a_cancelled_suspect_is_convicted_and_its_trace_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    item = bench.client.add(Lane.LIVE, uri="file:///x", trace="request-7")
    bench.greeted().started("run", 1)
    bench.child.die()
    bench.bury()
    bench.client.cancel([item])
    kill_alone(bench, 1)
    child = bench.greeted()
    child.send(output(CONTROL_ID))
    assert bench.poll() == []
    child.started("run", 1)
    child.die()
    assert bench.bury() == []
    bench.greeted().send(output(CONTROL_ID))
    assert bench.poll() == []
    assert len(bench.client) == 0
    assert "killed_process" in caplog.records[-1].getMessage()
    assert caplog.records[-1].getMessage().endswith("(trace request-7)")


def test_nothing_is_reclaimed_from_a_model_that_is_ready(bench: Bench) -> None:
    bench.add(5)
    bench.greeted()
    assert bench.client.reclaim() == []


def test_what_waits_for_a_restart_can_be_reclaimed_and_the_suspects_stay(bench: Bench) -> None:
    bench.add(5)
    child = bench.greeted()
    child.started("run", 1, 2)
    child.die()
    bench.bury()
    assert [item.id for item in bench.client.reclaim()] == [3, 4, 5]
    assert bench.greeted().heard() == [1]


def test_everything_can_be_reclaimed_before_the_first_hello(bench: Bench) -> None:
    bench.add(2)
    bench.poll()
    assert [item.id for item in bench.client.reclaim()] == [1, 2]
    assert len(bench.client) == 0


def test_the_descriptor_is_readable_when_a_frame_came_and_gone_without_a_child(bench: Bench) -> None:
    assert bench.client.fileno() is None
    bench.add(1)
    child = bench.greeted()
    descriptor = bench.client.fileno()
    assert descriptor is not None
    assert select.select([descriptor], [], [], 0) == ([], [], [])
    child.send(output(1))
    assert select.select([descriptor], [], [], 0) == ([descriptor], [], [])
    bench.poll()
    child.die()
    assert select.select([descriptor], [], [], 0) == ([descriptor], [], [])
    bench.bury()
    assert bench.client.fileno() is None


def test_the_share_of_a_gpu_is_in_the_environment_of_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_for_nvidia_smi(tmp_path / "bin", "echo 8000")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    path = write_null_card(tmp_path / "card").folder / "card.toml"
    path.write_text(path.read_text("utf-8").replace("memory_mb", "gpu_memory_mb = 2000, memory_mb"), "utf-8")
    environments: list[Mapping[str, str]] = []

    def start(*_words: Any, env: Mapping[str, str], **_options: Any) -> None:
        environments.append(env)
        raise OSError("only the environment is looked at")

    monkeypatch.setattr("workers.model_process.child_process.start_child", start)
    client = ModelClient(read_card(path), Settings(), metrics=Metrics())
    with closing(client), pytest.raises(OSError, match="only the environment"):
        client.poll(wait_s=0)
    assert environments[0]["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.2500"
