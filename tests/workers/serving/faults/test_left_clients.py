"""A thousand clients that send an image and leave: what they cost, and what comes after them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workers.serving.faults import wire
from tests.workers.serving.faults.watching import front_process, open_in, wait_until_nothing_is_left
from tests.workers.serving.running import JPEG, RunningService, running
from tests.workers.serving.test_service import Held, statuses

GATE = 50
WAVES = 20
LEFT = GATE * WAVES


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running(tmp_path_factory.mktemp("left"), "held@1", gate=GATE, request_timeout_s=120) as service:
        yield service


@pytest.fixture
def held(service: RunningService) -> Iterator[Held]:
    held = Held(service)
    held.hold()
    yield held
    (service.settings.cache_dir / "hold").unlink(missing_ok=True)


def come_and_leave(held: Held) -> None:
    """Fill the gate with images, and leave before any of them is answered."""
    connections = [wire.connect(held.service) for _ in range(GATE)]
    for connection in connections:
        connection.sendall(wire.head(Content_Length=str(len(JPEG))) + JPEG)
    held.wait_until_admitted(GATE)
    for connection in connections:
        connection.close()
    held.wait_until_admitted(0)


def test_after_a_thousand_requests_whose_clients_left_the_next_one_is_the_next_to_run(held: Held) -> None:
    service = held.service
    come_and_leave(held)
    front = front_process(service)
    service.pool.clear()
    before = open_in(front)
    for _ in range(WAVES - 1):
        come_and_leave(held)
    # The image that ran when its client left, in a batch of its own, is the only one that was begun.
    assert held.begun == 1
    with service.at_once(1) as answers:
        held.wait_until_admitted(1)
        held.let_run()
    assert statuses(answers) == {200: 1}
    assert held.begun == 2
    assert service.model("held")["gate"] == {**service.model("held")["gate"], "images": 0, "bytes": 0}
    service.pool.clear()
    wait_until_nothing_is_left(front, before)


def test_bodies_that_their_clients_leave_half_way_give_their_places_back(service: RunningService) -> None:
    connections = [wire.connect(service) for _ in range(GATE)]
    for connection in connections:
        connection.sendall(wire.head(Content_Length="1000") + bytes(500))
    held = Held(service)
    held.wait_until_admitted(GATE)
    assert service.analyze().status == 429
    for connection in connections:
        connection.close()
    held.wait_until_admitted(0)
    assert service.analyze().status == 200
