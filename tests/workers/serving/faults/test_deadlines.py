"""Requests that take too long: to arrive, or to be answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.workers.serving.faults import wire
from tests.workers.serving.running import JPEG, RunningService, running, wait_until
from tests.workers.serving.test_service import Held, statuses

GATE = 4


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    limits: dict[str, Any] = {"request_timeout_s": 5, "body_timeout_s": 1, "gate": GATE}
    with running(tmp_path_factory.mktemp("deadlines"), "held@1", **limits) as service:
        yield service


@pytest.fixture
def held(service: RunningService) -> Iterator[Held]:
    """A model that runs one image, which its client no longer waits for, until the test lets it go on."""
    held = Held(service)
    begun = held.begun
    held.hold()
    assert service.analyze(JPEG, "", **{"X-Request-Timeout-Ms": "1000"}).status == 503
    assert held.begun == begun + 1
    yield held
    (service.settings.cache_dir / "hold").unlink(missing_ok=True)
    # An answer means that the model is free again.
    assert service.analyze().status == 200


@pytest.mark.parametrize(
    "headers",
    [{"X-Request-Timeout-Ms": "200"}, {"X-Request-Timeout-Ms": "99999999"}, {}],
    ids=["its own limit", "a limit beyond that of the service", "the limit of the service"],
)
def test_a_request_that_is_not_answered_in_its_time_is_503_and_costs_no_run(
    held: Held, headers: dict[str, str]
) -> None:
    begun = held.begun
    answer = held.service.analyze(JPEG, "", **headers)
    assert (answer.status, answer.json["type"]) == (503, "/v1/problems/deadline")
    assert answer.json["models"]["held@1"]["error"]["type"] == "/v1/problems/deadline"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json["retry_after_ms"] >= 1000
    assert held.service.model("held")["gate"]["images"] == 0
    held.let_run()
    assert held.service.analyze().status == 200
    assert held.begun == begun + 1


def test_the_time_of_a_request_begins_before_its_body(held: Held) -> None:
    """A slow upload uses it up, and then costs no run."""
    service, begun = held.service, held.begun
    with wire.connect(service) as connection:
        head = wire.head(Content_Length=str(len(JPEG)), X_Request_Timeout_Ms="300")
        connection.sendall(head + JPEG[:100])
        held.wait_until_admitted(1)
        # The service has no clock that a test may turn; this one is longer than the request's time.
        threading.Event().wait(0.4)
        connection.sendall(JPEG[100:])
        held.let_run()
        assert b" 503 " in wire.read_answer(connection)
    assert held.begun == begun


def test_a_body_that_does_not_arrive_in_time_is_408_and_gives_its_place_back(held: Held) -> None:
    service = held.service
    connections = [wire.connect(service) for _ in range(GATE)]
    try:
        for connection in connections:
            connection.sendall(wire.head(Content_Length="1000") + bytes(500))
        held.wait_until_admitted(GATE)
        assert service.analyze().status == 429
        answers = [wire.read_answer(connection) for connection in connections]
    finally:
        for connection in connections:
            connection.close()
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"/v1/problems/request-timeout" in answer
    assert service.model("held")["gate"]["images"] == 0


def test_a_body_that_arrives_byte_by_byte_is_408_too(held: Held) -> None:
    """Each byte does not begin the time again."""
    with wire.connect(held.service) as connection:
        connection.sendall(wire.head(Content_Length="100000"))
        ended = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not ended.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert wire.read_answer(connection).startswith(b"HTTP/1.1 408 ")
        finally:
            ended.set()
            thread.join()


def test_other_clients_are_answered_while_slow_ones_fill_half_of_the_gate(service: RunningService) -> None:
    connections = [wire.connect(service) for _ in range(GATE // 2)]
    for connection in connections:
        connection.sendall(wire.head(Content_Length="1000") + bytes(500))
    wait_until(lambda: service.model("held")["gate"]["images"] == GATE // 2, "they have places")
    with service.at_once(GATE // 2) as answers:
        pass
    assert statuses(answers) == {200: GATE // 2}
    for connection in connections:
        connection.close()
