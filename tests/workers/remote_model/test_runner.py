"""Each answer of the service has one meaning for its image; no image is lost or failed by an outage."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Transient, Unavailable, UsageError
from panopticon.messages import Lane
from panopticon.models.golden_files import control_picture
from panopticon.scheduling.items import Answer, NotRun, Ran
from panopticon.settings import Settings
from tests.panopticon.null_card import write_null_card
from tests.workers.remote_model.scripted_service import Received, Scripted, ScriptedService, problem
from workers.remote_model.runner import RemoteRunner

PATIENCE_S = 30.0
LANES = (Lane.LIVE, Lane.BACKFILL)


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return write_null_card(tmp_path / "card")


@pytest.fixture
def service(card: ModelCard) -> Iterator[ScriptedService]:
    with ScriptedService(card) as service:
        yield service


@contextmanager
def opened(service: ScriptedService, **settings: Any) -> Iterator[RemoteRunner]:
    chosen = {"espresso": service.url, "park_max_s": 0.1, "request_timeout_s": 5.0, **settings}
    with closing(RemoteRunner(service.card, Settings.model_validate(chosen))) as runner:
        yield runner


@pytest.fixture
def runner(service: ScriptedService) -> Iterator[RemoteRunner]:
    with opened(service) as runner:
        yield runner


def wait_until(runner: RemoteRunner, done: Callable[[], bool]) -> list[Answer]:
    """Poll until it is so; return the answers that came."""
    deadline_s = time.monotonic() + PATIENCE_S
    answers: list[Answer] = []
    while not done():
        assert time.monotonic() < deadline_s, str(runner.down)
        answers += runner.poll(wait_s=0.02)
    return answers


def answers_of(runner: RemoteRunner, number: int) -> list[Answer]:
    answers: list[Answer] = []
    deadline_s = time.monotonic() + PATIENCE_S
    while len(answers) < number:
        assert time.monotonic() < deadline_s, (len(answers), str(runner.down))
        answers += runner.poll(wait_s=0.02)
    return answers


def error_of(runner: RemoteRunner) -> Rejected | Transient | Unavailable:
    runner.add(Lane.LIVE, uri="file:///1.jpg")
    (answer,) = answers_of(runner, 1)
    assert isinstance(answer, NotRun)
    return answer.error


def down_reason(runner: RemoteRunner) -> str:
    wait_until(runner, lambda: runner.down is not None)
    assert runner.down is not None
    assert runner.down.component == "model"
    assert runner.hello is None
    return runner.down.reason


def test_the_hello_is_the_description_of_the_service(service: ScriptedService, runner: RemoteRunner) -> None:
    wait_until(runner, lambda: runner.hello is not None)
    assert runner.hello is not None
    assert (runner.hello.digest, runner.hello.engine) == (service.card.digest, "null")
    assert service.requests[0].path == "/v1/models/colour@1"
    assert runner.credit >= runner.best_batch == 2


def test_an_image_is_one_request_with_its_uri_lane_time_and_id(
    service: ScriptedService, runner: RemoteRunner
) -> None:
    item = runner.add(Lane.BACKFILL, uri="file:///1.jpg")
    (answer,) = answers_of(runner, 1)
    assert isinstance(answer, Ran)
    assert answer.item is item
    assert answer.vector.dtype == np.float32
    assert answer.vector.tolist() == np.array([0.1, 0.2, 0.3], dtype=np.float32).tolist()
    assert (answer.source_sha256, answer.width_px, answer.height_px) == ("5" * 64, 4, 3)
    (request,) = service.analyses
    assert request.path == "/v1/analyze?models=colour@1&vectors=true&top_k=0"
    assert request.uri == "file:///1.jpg"
    assert request.headers["X-Panopticon-Lane"] == "backfill"
    assert int(request.headers["X-Request-Timeout-Ms"]) == 600_000
    assert request.headers["X-Request-Id"]
    assert "Authorization" not in request.headers


def test_a_token_is_sent_with_every_request(service: ScriptedService) -> None:
    with opened(service, espresso_token="s3cret") as runner:
        runner.add(Lane.LIVE, uri="file:///1.jpg")
        answers_of(runner, 1)
    assert {request.headers.get("Authorization") for request in service.requests} == {"Bearer s3cret"}


def test_bytes_that_are_handed_over_are_sent_as_they_are(
    service: ScriptedService, runner: RemoteRunner
) -> None:
    runner.add(Lane.LIVE, encoded=b"\xff\xd8")
    answers_of(runner, 1)
    assert (service.analyses[0].body, service.analyses[0].headers["Content-Type"]) == (
        b"\xff\xd8",
        "application/octet-stream",
    )


def test_more_bytes_than_a_request_may_have_are_refused_at_once(service: ScriptedService) -> None:
    with opened(service, max_request_bytes=10) as runner, pytest.raises(Rejected, match="too_many_bytes"):
        runner.add(Lane.LIVE, encoded=bytes(11))


class TestSendingBytes:
    """`espresso_send = "bytes"`: originals are fetched here."""

    @pytest.fixture
    def runner(self, service: ScriptedService) -> Iterator[RemoteRunner]:
        with opened(service, espresso_send="bytes", max_bytes=1000) as runner:
            yield runner

    def test_the_service_gets_the_bytes_of_the_original(
        self, service: ScriptedService, runner: RemoteRunner, tmp_path: Path
    ) -> None:
        (tmp_path / "1.jpg").write_bytes(b"photo")
        runner.add(Lane.LIVE, uri=f"file://{tmp_path}/1.jpg")
        answers_of(runner, 1)
        assert service.analyses[0].body == b"photo"

    def test_a_missing_original_is_rejected_without_a_request(
        self, service: ScriptedService, runner: RemoteRunner
    ) -> None:
        error = error_of(runner)
        assert isinstance(error, Rejected)
        assert error.reason == "not_found"
        assert service.analyses == []

    def test_an_original_that_is_too_large_is_rejected(self, runner: RemoteRunner, tmp_path: Path) -> None:
        (tmp_path / "1.jpg").write_bytes(bytes(1001))
        runner.add(Lane.LIVE, uri=f"file://{tmp_path}/1.jpg")
        (answer,) = answers_of(runner, 1)
        assert isinstance(answer, NotRun)
        assert str(answer.error).startswith("too_many_bytes")

    def test_an_original_that_was_refused_for_lack_of_room_is_not_fetched_again(
        self, service: ScriptedService, runner: RemoteRunner, tmp_path: Path
    ) -> None:
        def first_full(_: Received) -> Scripted:
            (tmp_path / "1.jpg").unlink(missing_ok=True)
            return service.ran() if len(service.analyses) > 1 else problem(429, "gate-full", retry_after_ms=1)

        service.analyze = first_full
        (tmp_path / "1.jpg").write_bytes(b"photo")
        runner.add(Lane.LIVE, uri=f"file://{tmp_path}/1.jpg")
        assert isinstance(answers_of(runner, 1)[0], Ran)
        assert [request.body for request in service.analyses] == [b"photo", b"photo"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            problem(422, "rejected-image", reason="corrupt", detail="colour@1: it ends early"),
            Rejected("corrupt", "it ends early"),
        ),
        (problem(422, "rejected-image", reason="corrupt", detail="colour@1: corrupt"), Rejected("corrupt")),
        (
            problem(502, "source-failed", reason="timeout", detail="colour@1: photos took too long"),
            Transient("timeout", "photos took too long"),
        ),
        (
            problem(503, "model-down", component="source", reason="photos refuses access"),
            Unavailable("source", "photos refuses access"),
        ),
        (problem(413, "too-large", detail="9 bytes"), Rejected("too_many_bytes", "9 bytes")),
    ],
)
def test_an_answer_about_the_image_is_the_error_that_a_model_process_would_give(
    service: ScriptedService,
    runner: RemoteRunner,
    answer: Scripted,
    error: Rejected | Transient | Unavailable,
) -> None:
    service.analyze = lambda _: answer
    got = error_of(runner)
    assert (type(got), str(got)) == (type(error), str(error))
    assert len(service.analyses) == 1


@pytest.mark.parametrize(
    "answer",
    [
        problem(429, "gate-full", retry_after_ms=10),
        Scripted(status=429, headers={"Retry-After": "0"}),
        problem(503, "busy", retry_after_ms=10),
        problem(503, "deadline"),
        problem(503, "model-down", component="model", detail="it starts"),
        problem(503, "draining"),
        problem(503, "store-down", component="store"),
        problem(500, "internal-error"),
        problem(400, "malformed-body"),
        Scripted(status=502),
        Scripted(status=503),
        Scripted(hang_up=True),
    ],
)
def test_an_image_without_an_answer_stays_and_is_sent_again(
    service: ScriptedService, runner: RemoteRunner, answer: Scripted
) -> None:
    service.analyze = lambda _: service.ran() if len(service.analyses) > 1 else answer
    item = runner.add(Lane.LIVE, uri="file:///1.jpg")
    (answered,) = answers_of(runner, 1)
    assert isinstance(answered, Ran)
    assert answered.item is item


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            problem(401, "unauthorized", detail="no token"),
            "answers 401: no token; the setting espresso_token",
        ),
        (problem(403, "forbidden"), "answers 403; the setting espresso_token"),
        (problem(404, "unknown-model", detail="colour@1 is not served"), "404: colour@1 is not served"),
        (Scripted(content={"hello": "world"}), "something else than the description of a model"),
    ],
)
def test_a_service_that_does_not_serve_the_model_is_down_and_says_why(
    service: ScriptedService, runner: RemoteRunner, answer: Scripted, words: str
) -> None:
    service.describe = lambda: answer
    assert words in down_reason(runner)
    service.describe = service.ready
    wait_until(runner, lambda: runner.hello is not None)
    assert runner.down is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"digest": "0" * 64}, "with digest 000000000000…, and its card here makes "),
        ({"dim": 4}, "with 4 elements; here it has 3"),
        ({"state": "down", "reason": "out of memory"}, "has colour@1 down: out of memory"),
        ({"state": "unloading"}, "has colour@1 unloading"),
    ],
)
def test_another_model_under_the_name_or_one_that_is_down_runs_nothing(
    service: ScriptedService, runner: RemoteRunner, fields: dict[str, Any], words: str
) -> None:
    service.describe = lambda: service.ready(**fields)
    runner.add(Lane.LIVE, uri="file:///1.jpg")
    assert words in down_reason(runner)
    assert service.analyses == []


def test_a_model_that_is_loading_is_waited_for(service: ScriptedService, runner: RemoteRunner) -> None:
    service.describe = lambda: service.ready(state="loading", engine=None)
    wait_until(runner, lambda: len(service.requests) > 1)
    assert (runner.hello, runner.down) == (None, None)
    service.describe = service.ready
    wait_until(runner, lambda: runner.hello is not None)


def test_a_vector_of_another_digest_is_never_given_out(
    service: ScriptedService, runner: RemoteRunner
) -> None:
    wait_until(runner, lambda: runner.hello is not None)
    service.analyze = lambda _: service.ran(digest="0" * 64)
    service.describe = lambda: service.ready(digest="0" * 64)
    item = runner.add(Lane.LIVE, uri="file:///1.jpg")
    assert "with digest 000000000000" in down_reason(runner)
    service.analyze, service.describe = lambda _: service.ran(), service.ready
    (answer,) = answers_of(runner, 1)
    assert isinstance(answer, Ran)
    assert answer.item is item


@pytest.mark.parametrize("vector", [[0.1], [0.1, 0.2, None], "text", None, [0.1, 0.2, 1e300]])
def test_a_vector_of_another_form_is_never_given_out(
    service: ScriptedService, runner: RemoteRunner, vector: Any
) -> None:
    service.analyze = lambda _: service.ran(vector=vector) if len(service.analyses) == 1 else service.ran()
    runner.add(Lane.LIVE, uri="file:///1.jpg")
    (answer,) = answers_of(runner, 1)
    assert isinstance(answer, Ran)
    assert answer.vector.shape == (3,)


def test_a_service_that_cannot_be_reached_is_down_and_the_images_wait_for_it(
    service: ScriptedService, runner: RemoteRunner
) -> None:
    wait_until(runner, lambda: runner.hello is not None)
    service.stop()
    items = [runner.add(Lane.LIVE, uri=f"file:///{number}") for number in range(20)]
    assert "cannot be reached (Connection refused)" in down_reason(runner)
    assert runner.poll(wait_s=0.05) == []
    service.start()
    answers = answers_of(runner, len(items))
    assert Counter(answer.item.id for answer in answers) == Counter(item.id for item in items)
    assert all(isinstance(answer, Ran) for answer in answers)


def test_a_service_that_is_started_later_is_found(card: ModelCard) -> None:
    service = ScriptedService(card)
    service.start()
    service.stop()
    with opened(service) as runner:
        assert "Connection refused" in down_reason(runner)
        service.start()
        wait_until(runner, lambda: runner.hello is not None)
        service.stop()


def test_a_service_that_disappears_is_noticed_without_any_image(
    service: ScriptedService, runner: RemoteRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.remote_model.service_state.QUIET_S", 0.05)
    wait_until(runner, lambda: runner.hello is not None)
    service.stop()
    assert down_reason(runner)


class TestAFullService:
    """A gate that admits fewer images at once than the worker would send."""

    class Gate:
        def __init__(self, service: ScriptedService, places: int, *, backfill: int | None = None) -> None:
            self._service = service
            self._places = {"live": places, "backfill": places if backfill is None else backfill}
            self._lock = threading.Lock()
            self.under_way = 0
            self.refused = 0

        def __call__(self, request: Received) -> Scripted:
            with self._lock:
                if self.under_way >= self._places[request.headers["X-Panopticon-Lane"]]:
                    self.refused += 1
                    return problem(429, "gate-full", retry_after_ms=5)
                self.under_way += 1
            time.sleep(0.002)
            with self._lock:
                self.under_way -= 1
            return self._service.ran()

    @pytest.mark.parametrize("places", [1, 3])
    def test_every_image_is_answered_at_last(
        self, service: ScriptedService, runner: RemoteRunner, places: int
    ) -> None:
        gate = service.analyze = self.Gate(service, places)
        items = [runner.add(LANES[number % 2], uri=f"file:///{number}") for number in range(60)]
        answers = answers_of(runner, len(items))
        assert Counter(answer.item.id for answer in answers) == Counter(item.id for item in items)
        assert all(isinstance(answer, Ran) for answer in answers)
        assert gate.refused > 0
        assert runner.down is None

    def test_fewer_requests_are_under_way_afterwards(
        self, service: ScriptedService, runner: RemoteRunner
    ) -> None:
        wait_until(runner, lambda: runner.hello is not None)
        before = runner.credit
        service.analyze = self.Gate(service, 1)
        for number in range(60):
            runner.add(Lane.LIVE, uri=f"file:///{number}")
        answers_of(runner, 60)
        assert runner.credit < before

    def test_live_images_go_on_while_there_is_no_room_for_backfill(
        self, service: ScriptedService, runner: RemoteRunner
    ) -> None:
        service.analyze = self.Gate(service, 9, backfill=0)
        waiting = [runner.add(Lane.BACKFILL, uri=f"file:///{number}") for number in range(9)]
        live = [runner.add(Lane.LIVE, uri=f"file:///{number}") for number in range(9)]
        answers = answers_of(runner, len(live))
        assert {answer.item.id for answer in answers} == {item.id for item in live}
        assert {item.id for item in runner.release()} == {item.id for item in waiting}


def is_control(request: Received, card: ModelCard) -> bool:
    return hashlib.sha256(request.body).digest() == hashlib.sha256(control_picture(card)).digest()


class TestAnImageThatIsNeverAnswered:
    """The limit of time of the service comes before its conviction, again and again."""

    def test_it_is_a_failed_attempt_and_the_others_are_answered(
        self, service: ScriptedService, runner: RemoteRunner
    ) -> None:
        def analyze(request: Received) -> Scripted:
            is_bad = request.body == b'{"uri": "file:///bad"}'
            return problem(503, "deadline", detail="too late") if is_bad else service.ran()

        service.analyze = analyze
        bad = runner.add(Lane.LIVE, uri="file:///bad")
        good = [runner.add(Lane.LIVE, uri=f"file:///{number}") for number in range(20)]
        answers = {answer.item.id: answer for answer in answers_of(runner, 21)}
        failed = answers.pop(bad.id)
        assert isinstance(failed, NotRun)
        assert isinstance(failed.error, Transient)
        assert failed.error.reason == "unanswered"
        assert set(answers) == {item.id for item in good}
        assert all(isinstance(answer, Ran) for answer in answers.values())

    def test_it_is_found_too_if_it_is_the_only_image(
        self, service: ScriptedService, runner: RemoteRunner
    ) -> None:
        service.analyze = lambda request: (
            service.ran() if is_control(request, service.card) else problem(503, "deadline")
        )
        error = error_of(runner)
        assert isinstance(error, Transient)
        assert [is_control(request, service.card) for request in service.analyses] == [
            *(False, False),
            *(True, False),
            *(True, False),
        ]

    def test_no_image_fails_while_the_control_is_not_answered_either(
        self, service: ScriptedService, runner: RemoteRunner
    ) -> None:
        service.analyze = lambda _: problem(503, "deadline")
        item = runner.add(Lane.LIVE, uri="file:///1")
        early = wait_until(
            runner, lambda: sum(is_control(request, service.card) for request in service.analyses) > 1
        )
        assert early == []
        service.analyze = lambda _: service.ran()
        (answer,) = answers_of(runner, 1)
        assert isinstance(answer, Ran)
        assert answer.item is item


def test_requests_share_a_few_connections(service: ScriptedService, runner: RemoteRunner) -> None:
    for number in range(100):
        runner.add(Lane.LIVE, uri=f"file:///{number}")
    answers_of(runner, 100)
    assert service.connections <= 9


def test_released_images_break_off_their_requests_and_later_ones_are_answered(
    service: ScriptedService, runner: RemoteRunner
) -> None:
    blocked = threading.Event()

    def analyze(_: Received) -> Scripted:
        blocked.wait(PATIENCE_S)
        return service.ran()

    service.analyze = analyze
    items = [runner.add(Lane.LIVE, uri=f"file:///{number}") for number in range(30)]
    wait_until(runner, lambda: bool(service.analyses))
    assert sorted(item.id for item in runner.release()) == [item.id for item in items]
    service.analyze = lambda _: service.ran()
    later = runner.add(Lane.LIVE, uri="file:///later")
    assert [answer.item.id for answer in answers_of(runner, 1)] == [later.id]
    blocked.set()


def test_closing_waits_for_no_answer(service: ScriptedService) -> None:
    blocked = threading.Event()

    def analyze(_: Received) -> Scripted:
        blocked.wait(PATIENCE_S)
        return service.ran()

    service.analyze = analyze
    with opened(service) as runner:
        runner.add(Lane.LIVE, uri="file:///1")
        wait_until(runner, lambda: bool(service.analyses))
    assert not [thread for thread in threading.enumerate() if thread.name == "espresso"]
    blocked.set()


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "http://", "http://host:port", "http://host?x=1", "http://me:secret@host", "http://[::1"],
)
def test_an_address_that_cannot_be_used_is_a_mistake_that_names_the_setting(
    card: ModelCard, url: str
) -> None:
    with pytest.raises(UsageError, match="setting 'espresso'") as raised:
        RemoteRunner(card, Settings(espresso=url))
    assert "secret" not in str(raised.value)
