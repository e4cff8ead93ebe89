"""Model processes that are killed: their images are answered all the same, and no other request notices."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.workers.serving.faults.watching import front_process, open_in, wait_until_nothing_is_left
from tests.workers.serving.running import JPEG, RunningService, running, wait_until
from tests.workers.serving.test_service import Held, statuses

KILLS = 10
CLIENTS = 8
ANSWERS_BETWEEN = 20
GROWTH_BYTES = 32 * 1024 * 1024
"""Most memory that ten restarts may leave behind in the front process."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running(tmp_path_factory.mktemp("killed"), "held@1", "null@1") as service:
        yield service


@pytest.fixture
def held(service: RunningService) -> Iterator[Held]:
    held = Held(service)
    held.hold()
    yield held
    (service.settings.cache_dir / "hold").unlink(missing_ok=True)


def process_of(service: RunningService, model: str) -> int:
    """Return the process of a model of which there is one."""
    for child in front_process(service).children():
        if f"/{model}/card.toml" in " ".join(child.cmdline()):
            return int(child.pid)
    raise LookupError(model)


def restarts(service: RunningService, model: str) -> int:
    start = f'panopticon_model_restarts_total{{model="{model}"'
    lines = service.get("/metrics").body.decode().splitlines()
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(start))


def test_the_images_of_a_killed_process_are_answered_by_the_next_one(held: Held) -> None:
    service = held.service
    begun, restarted = held.begun, restarts(service, "held@1")
    with service.at_once(4, JPEG, "models=held") as answers:
        held.wait_until_admitted(4)
        wait_until(lambda: held.begun > begun, "the first run has begun")
        os.kill(process_of(service, "held"), signal.SIGKILL)
        wait_until(lambda: restarts(service, "held@1") > restarted, "it is started again", service)
        held.let_run()
    assert statuses(answers) == {200: 4}
    service.wait_until_ready()


def test_what_a_killed_process_cannot_answer_in_its_time_is_one_503(held: Held) -> None:
    service = held.service
    begun = held.begun
    with service.at_once(4, JPEG, "models=held", **{"X-Request-Timeout-Ms": "2000"}) as answers:
        held.wait_until_admitted(4)
        wait_until(lambda: held.begun > begun, "the first run has begun")
        os.kill(process_of(service, "held"), signal.SIGKILL)
    assert statuses(answers) == {503: 4}
    for answer in answers:
        assert answer.result().json["type"] == "/v1/problems/deadline"
        assert int(answer.result().headers["retry-after"]) >= 1
    assert service.model("held")["gate"]["images"] == 0
    held.let_run()
    service.wait_until_ready()
    assert service.analyze(JPEG, "models=held").status == 200


def test_requests_for_other_models_do_not_notice(held: Held) -> None:
    service = held.service
    other = process_of(service, "null")
    killed = process_of(service, "held")
    with service.at_once(1, JPEG, "models=held") as answers:
        held.wait_until_admitted(1)
        os.kill(killed, signal.SIGKILL)
        found = Counter[int]()
        while psutil.pid_exists(killed) or service.model("held")["state"] != "ready":
            found[service.analyze(JPEG, "models=null").status] += 1
        held.let_run()
    assert set(found) == {200}
    assert statuses(answers) == {200: 1}
    assert process_of(service, "null") == other
    assert restarts(service, "null@1") == 0


def test_one_answer_names_the_model_that_is_down_and_the_scores_of_the_other(held: Held) -> None:
    service = held.service
    killed = process_of(service, "held")
    with service.at_once(1, JPEG, "", **{"X-Request-Timeout-Ms": "1500"}) as answers:
        held.wait_until_admitted(1)
        os.kill(killed, signal.SIGKILL)
    answer = answers[0].result()
    assert answer.status == 200
    assert answer.json["models"]["held@1"]["error"]["status"] == 503
    assert set(answer.json["models"]["null@1"]["scores"]) == {"red", "green", "blue"}
    held.let_run()
    service.wait_until_ready()


def test_while_one_of_two_processes_is_gone_the_other_one_answers_and_ten_kills_leave_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path, "slow@1", replicas=2) as service:
        front = front_process(service)
        os.kill(front.children()[0].pid, signal.SIGKILL)
        wait_until(lambda: service.model("slow")["ready_replicas"] == 1, "one process is gone", service)
        assert service.analyze().status == 200
        wait_until(lambda: service.model("slow")["ready_replicas"] == 2, "it is back", service)
        service.pool.clear()
        before, memory_bytes = open_in(front), front.memory_info().rss

        found, stop = Counter[int](), threading.Event()

        def ask() -> None:
            while not stop.is_set():
                found[service.analyze().status] += 1

        with ThreadPoolExecutor(CLIENTS) as threads:
            asking = [threads.submit(ask) for _ in range(CLIENTS)]
            try:
                kill_repeatedly(service, found)
            finally:
                stop.set()
        for each in asking:
            each.result()
        assert set(found) <= {200, 503}
        wait_until(lambda: service.model("slow")["ready_replicas"] == 2, "both are back", service)
        service.pool.clear()
        wait_until_nothing_is_left(front, before)
        grown_bytes = front.memory_info().rss - memory_bytes
        with capsys.disabled():
            print(  # noqa: T201
                f"\n{KILLS} kills under load: {dict(found)}; front process {grown_bytes / 1e6:+.1f} MB"
            )
        assert grown_bytes < GROWTH_BYTES


def kill_repeatedly(service: RunningService, found: Counter[int]) -> None:
    """Kill a process that is ready, ten times, with answers between two kills."""
    front = front_process(service)
    for number in range(KILLS):
        enough = found.total() + ANSWERS_BETWEEN
        wait_until(lambda enough=enough: found.total() >= enough, "answers come", service)  # type: ignore[misc]
        wait_until(lambda: service.model("slow")["ready_replicas"] >= 1, "one is ready", service)
        children = sorted(child.pid for child in front.children())
        os.kill(children[number % len(children)], signal.SIGKILL)
