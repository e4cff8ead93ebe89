"""The service as a whole, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from panopticon.metrics import Metrics
from panopticon.models import find_card
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from tests.models.engines import RED
from tests.pictures import encoded, photo
from tests.servers.ports import free_ports
from tests.workers.serving.running import JPEG, MODELS, Answered, RunningService, running, wait_until
from workers.serving.service import Service

KILLER = encoded(Image.new("RGB", (16, 16), RED), "PNG")
GATE = 10


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service of two models that no test here brings down."""
    roots = tmp_path_factory.getbasetemp()
    with running(tmp_path_factory.mktemp("service"), "null@1", "slow@1", file_roots=[roots]) as service:
        yield service


class Held:
    """A service whose model runs one picture at a time, and only while the test lets it."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self._folder = service.settings.cache_dir

    def hold(self) -> None:
        (self._folder / "hold").touch()

    def let_run(self) -> None:
        (self._folder / "hold").unlink()

    @property
    def begun(self) -> int:
        """The number of runs that have begun."""
        file = self._folder / "begun"
        return file.stat().st_size if file.exists() else 0

    def wait_until_admitted(self, images: int) -> None:
        wait_until(lambda: self.service.model("held")["gate"]["images"] == images, "images are admitted")


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    """A gate of ten places in front of a model that is held until the test lets it run."""
    with running(tmp_path, "held@1", gate=GATE, service_gate=100) as service:
        held = Held(service)
        held.hold()
        yield held
        (service.settings.cache_dir / "hold").unlink(missing_ok=True)


def request_without_reading(port: int) -> socket.socket:
    """Send one image, and return the connection before an answer has come."""
    connection = socket.create_connection(("127.0.0.1", port))
    head = f"POST /v1/analyze HTTP/1.1\r\nHost: x\r\nContent-Length: {len(JPEG)}\r\n\r\n"
    connection.sendall(head.encode() + JPEG)
    return connection


def statuses(answers: list[Future[Answered]]) -> Counter[int]:
    return Counter(answer.result().status for answer in answers)


def test_one_image_is_answered_by_every_model(service: RunningService) -> None:
    answer = service.analyze()
    assert answer.status == 200
    assert set(answer.json["models"]) == {"null@1", "slow@1"}
    assert answer.json["image"]["bytes"] == len(JPEG)
    assert (answer.json["image"]["width_px"], answer.json["image"]["height_px"]) == (48, 36)
    scores = answer.json["models"]["null@1"]["scores"]
    assert set(scores) == {"red", "green", "blue"}
    assert all(0 < score < 1 for score in scores.values())


def test_each_answer_names_model_version_and_digest(service: RunningService) -> None:
    digests = {model["name"]: model["digest"] for model in service.get("/v1/models").json["models"]}
    for name, model in service.analyze().json["models"].items():
        assert f"{model['model']}@{model['version']}" == name
        assert model["digest"] == digests[name]


def test_only_the_models_that_are_named_run(service: RunningService) -> None:
    assert set(service.analyze(query="models=slow").json["models"]) == {"slow@1"}
    assert set(service.analyze(query="models=slow@1,null").json["models"]) == {"slow@1", "null@1"}
    assert set(service.analyze(query="models=null&models=slow").json["models"]) == {"slow@1", "null@1"}


def test_files_of_a_form_are_answered_in_their_order(service: RunningService) -> None:
    files = [("a.jpg", JPEG), ("b.png", encoded(photo(60, 50), "PNG"))]
    results = service.upload(files, "models=null").json["results"]
    assert [result["image"]["name"] for result in results] == ["a.jpg", "b.png"]
    assert [result["image"]["width_px"] for result in results] == [48, 60]


def test_a_form_with_one_file_is_answered_like_its_bytes(service: RunningService) -> None:
    by_form = service.upload([("a.jpg", JPEG)], "models=null").json
    by_bytes = service.analyze(query="models=null").json
    assert by_form["models"] == by_bytes["models"]


def test_an_image_named_by_its_uri_is_answered_like_its_bytes(
    service: RunningService, tmp_path: Path
) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(JPEG)
    answer = service.ask("POST", "/v1/analyze?models=null", json={"uri": file.as_uri()})
    assert answer.json["models"] == service.analyze(query="models=null").json["models"]
    assert answer.json["image"]["uri"] == file.as_uri()
    several = service.ask("POST", "/v1/analyze", json={"images": [{"uri": file.as_uri()}]})
    assert len(several.json["results"]) == 1


def test_a_file_of_the_machine_is_read_only_where_a_setting_allows_it(
    service: RunningService, held: Held, tmp_path: Path
) -> None:
    outside = service.ask("POST", "/v1/analyze?models=null", json={"uri": "file:///etc/passwd"})
    without_roots = held.service.ask("POST", "/v1/analyze", json={"uri": "file:///etc/passwd"})
    for answer in (outside, without_roots):
        assert answer.status == 422
        assert answer.json["reason"] == "path_not_allowed"
        assert b"72 6f 6f 74" not in answer.body


def test_a_file_that_is_not_read_is_an_error_of_its_own_among_other_images(held: Held) -> None:
    held.let_run()
    uris = ["file:///etc/passwd", "http://127.0.0.1:9/a.jpg"]
    images = {"images": [{"uri": uri} for uri in uris]}
    answer = held.service.ask("POST", "/v1/analyze", json=images)
    reasons = [problem["models"]["held@1"]["error"]["reason"] for problem in answer.json["results"]]
    assert reasons == ["path_not_allowed", "address_not_allowed"]


def test_a_bad_picture_among_good_ones_is_an_error_of_its_own(service: RunningService) -> None:
    answer = service.upload([("bad", b"not a picture"), ("good", JPEG)], "models=null")
    assert answer.status == 200
    bad, good = answer.json["results"]
    assert bad["models"]["null@1"]["error"]["reason"] == "not_an_image"
    assert "scores" in good["models"]["null@1"]


def test_a_picture_that_no_model_takes_is_422_with_its_reason(service: RunningService) -> None:
    answer = service.analyze(b"not a picture")
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["reason"] == "not_an_image"
    assert set(answer.json["models"]) == {"null@1", "slow@1"}


def test_raw_vectors_come_on_request(service: RunningService) -> None:
    model = service.analyze(query="models=null&vectors=true").json["models"]["null@1"]
    assert model["vector"] == list(model["scores"].values())
    assert "vector" not in service.analyze(query="models=null").json["models"]["null@1"]


def test_the_id_of_a_request_comes_back(service: RunningService) -> None:
    assert service.get("/v1/models", **{"X-Request-Id": "upload-17"}).headers["x-request-id"] == "upload-17"
    assert len(service.get("/v1/models").headers["x-request-id"]) == 24


def test_a_token_may_hold_any_byte(service: RunningService) -> None:
    assert service.analyze(Authorization="Bearer \xe9").status == 200


def test_ten_are_admitted_and_the_eleventh_is_refused_while_they_wait(held: Held) -> None:
    service = held.service
    with service.at_once(GATE + 1) as answers:
        wait(answers, return_when=FIRST_COMPLETED)
        done = [answer.result() for answer in answers if answer.done()]
        assert [answer.status for answer in done] == [429]
        held.let_run()
    assert statuses(answers) == {200: GATE, 429: 1}
    refusal = done[0]
    assert int(refusal.headers["retry-after"]) >= 1
    assert refusal.json["type"] == "/v1/problems/gate-full"
    assert refusal.json["retry_after_ms"] > 0
    assert service.model("held")["gate"]["images"] == 0


def test_backfill_is_refused_where_live_images_are_still_admitted(held: Held) -> None:
    backfill: dict[str, Any] = {"X-Panopticon-Lane": "backfill"}
    with held.service.at_once(GATE // 2, JPEG, "", **backfill) as answers:
        held.wait_until_admitted(GATE // 2)
        assert held.service.analyze(JPEG, "", **backfill).status == 429
        with held.service.at_once(1) as live:
            held.wait_until_admitted(GATE // 2 + 1)
            held.let_run()
        assert statuses(live) == {200: 1}
    assert statuses(answers) == {200: GATE // 2}


def test_an_image_that_is_not_run_in_its_time_is_503_and_costs_no_run(held: Held) -> None:
    with held.service.at_once(3) as answers:
        held.wait_until_admitted(3)
        wait_until(lambda: held.begun == 1, "the first run has begun")
        late = held.service.analyze(JPEG, "", **{"X-Request-Timeout-Ms": "100"})
        held.let_run()
    assert late.status == 503
    assert late.json["type"] == "/v1/problems/deadline"
    assert "retry-after" in late.headers
    assert statuses(answers) == {200: 3}
    assert held.begun == 3


def test_the_images_of_clients_that_left_are_taken_out(held: Held) -> None:
    service = held.service
    port = int(service.url.rpartition(":")[2])
    connections = [request_without_reading(port) for _ in range(GATE)]
    held.wait_until_admitted(GATE)
    for connection in connections:
        connection.close()
    held.wait_until_admitted(0)
    held.let_run()
    assert service.analyze().status == 200
    # The one that ran, one that was decoded for the same process at most, and the new one.
    assert held.begun <= 3


def test_a_killed_model_process_costs_no_request(tmp_path: Path) -> None:
    with running(tmp_path, "held@1", replicas=2) as service:
        held = Held(service)
        held.hold()
        with service.at_once(6) as answers:
            held.wait_until_admitted(6)
            os.kill(service.model_processes()[0], signal.SIGKILL)
            wait_until(lambda: len(service.model_processes()) == 3, "a process is started again", service)
            held.let_run()
        assert statuses(answers) == {200: 6}
        service.wait_until_ready()


def test_a_picture_that_kills_its_model_is_422_and_every_other_one_is_answered(tmp_path: Path) -> None:
    with running(tmp_path, "exits@1", "null@1") as service:
        with service.at_once(1, KILLER, "models=exits") as killers, service.at_once(8) as others:
            pass
        killer = killers[0].result()
        assert (killer.status, killer.json["reason"]) == (422, "killed_process")
        assert statuses(others) == {200: 8}
        started = len(service.model_processes())
        again = service.analyze(KILLER, "models=exits")
        assert (again.status, again.json["reason"]) == (422, "killed_process")
        assert len(service.model_processes()) == started


def test_a_version_is_loaded_and_unloaded_while_others_answer(tmp_path: Path) -> None:
    with running(tmp_path, "null@1") as service:
        loaded = service.ask("PUT", "/v1/models/slow@1")
        assert loaded.status == 202
        wait_until(lambda: service.model("slow@1")["state"] == "ready", "the version is ready", service)
        assert set(service.analyze().json["models"]) == {"null@1", "slow@1"}
        pid = service.model_processes()[-1]
        assert service.ask("DELETE", "/v1/models/slow@1").status == 202
        wait_until(lambda: service.get("/v1/models/slow@1").status == 404, "it is unloaded", service)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "its process has ended")
        assert set(service.analyze().json["models"]) == {"null@1"}


def test_a_version_that_has_never_been_up_takes_no_host_out_and_delays_nobody(tmp_path: Path) -> None:
    with running(tmp_path, "null@1") as service:
        assert service.ask("PUT", "/v1/models/unfit@1").status == 202
        # Its process dies on its golden image, again and again.
        wait_until(lambda: service.model("unfit@1")["state"] == "down", "its process has died", service)
        wait_until(
            lambda: service.get("/health/ready").json["models"] == {"null@1": "ready", "unfit@1": "down"},
            "readiness shows it",
            service,
        )
        assert service.get("/health/ready").status == 200
        assert set(service.analyze().json["models"]) == {"null@1"}
        assert service.analyze(JPEG, "models=unfit").status == 503


def test_without_any_model_the_service_is_not_ready(tmp_path: Path) -> None:
    with running(tmp_path, "null@1") as service:
        service.ask("DELETE", "/v1/models/null@1")
        wait_until(lambda: service.get("/health/ready").status == 503, "it is not ready", service)
        assert service.get("/health/ready").json["models"] == {}


def test_the_log_has_each_state_of_a_model_and_who_asked_for_it(tmp_path: Path) -> None:
    with running(tmp_path, "null@1") as service:
        assert "null@1: loading" in service.logged
        wait_until(lambda: "ready: every model answers" in service.logged, "it is in the log", service)
        service.ask("DELETE", "/v1/models/null@1")
        wait_until(lambda: "null@1: unloaded" in service.logged, "it is unloaded", service)
        assert "null@1: to be unloaded, asked for by 127.0.0.1" in service.logged


def test_a_service_that_is_stopped_while_it_converts_its_models_never_listens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.model_validate({"http_port": 0, "database": f"sqlite:///{tmp_path / 'x.db'}"})
    card = find_card(VersionName(model="null", version=1), MODELS)
    with caplog.at_level("INFO"):
        Service(settings, metrics=Metrics(), stopping=lambda: True).run([card])
    assert "serving on" not in caplog.text


def test_after_sigterm_it_is_not_ready_and_answers_what_it_has(held: Held) -> None:
    service = held.service
    with service.at_once(2) as answers:
        held.wait_until_admitted(2)
        service.terminate()
        wait_until(lambda: "draining" in service.logged, "it drains")
        held.let_run()
    assert statuses(answers) == {200: 2}
    assert service.process.wait(30) == 0


def test_a_draining_service_is_not_ready_and_still_answers(tmp_path: Path) -> None:
    with running(tmp_path, "null@1", drain_s=30) as service:
        service.terminate()
        wait_until(lambda: service.get("/health/ready").status == 503, "it is not ready")
        answer = service.analyze()
        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        assert service.get("/health/live").status == 200
        service.process.kill()


def test_probes_are_answered_on_their_own_port_while_every_place_is_taken(tmp_path: Path) -> None:
    with running(tmp_path, "held@1", gate=1, probe_port=free_ports(1)[0]) as service:
        held = Held(service)
        held.hold()
        with service.at_once(1):
            held.wait_until_admitted(1)
            probes = service.url.rpartition(":")[0] + f":{service.settings.probe_port}"
            for path in ("/health/live", "/health/ready", "/metrics"):
                assert service.pool.request("GET", f"{probes}{path}").status == 200
                assert service.get(path).status == 200
            held.let_run()


def test_a_version_that_cannot_be_prepared_is_down_with_its_reason_and_others_answer(tmp_path: Path) -> None:
    with running(tmp_path, "null@1") as service:
        assert service.ask("PUT", "/v1/models/unfit@1").status == 202
        wait_until(lambda: service.model("unfit@1")["state"] == "down", "it is down", service)
        assert service.model("unfit@1")["reason"]
        assert service.analyze(query="models=unfit").status == 503
        assert service.analyze().status == 200
        assert service.get("/health/ready").status == 200
