"""Models that cannot run: the service says so, and goes on with the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.workers.serving.faults.cards import write_card
from tests.workers.serving.running import JPEG, MODELS, RunningService, listening, wait_until

UNTRUE = """
[[golden]]
image = "golden.png"
sha256 = "5814bbfe45e7104fd9db7e4559b4f11541b505c3d77cd0e97388a2d70f25a709"
expected = { red = 1.0, blue = 0.0 }
"""
REASONS = {
    "raising": "on a picture that is known to be good",
    "unfit": "ended before its self-test",
    "untrue": "fails its self-test: golden.png",
}
"""An exception in each run, the end of the process in the self-test, and values that are not the expected."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service of three models that cannot run, and one that can."""
    folder = tmp_path_factory.mktemp("broken")
    models = folder / "models"
    write_card(models, "raising", engine="RaisingEngine")
    write_card(models, "null")
    write_card(models, "untrue", more=UNTRUE)
    shutil.copy(MODELS / "unfit" / "golden.png", models / "untrue1")
    shutil.copytree(MODELS / "unfit", models / "unfit1")
    names = [f"{name}@1" for name in (*REASONS, "null")]
    with listening(folder, *names, models_dir=models) as service:
        wait_until(lambda: service.model("null")["state"] == "ready", "the good model is ready", service)
        # Its fault shows with the first image.
        wait_until(lambda: service.model("raising")["state"] == "ready", "it is ready at first", service)
        # Its request is answered once the fault shows, and not only once its time is over.
        assert service.analyze(JPEG, "models=raising").json["type"] == "/v1/problems/model-down"
        yield service


@pytest.mark.parametrize("name", REASONS)
def test_a_model_that_cannot_run_is_down_with_its_reason(service: RunningService, name: str) -> None:
    wait_until(lambda: service.model(name)["state"] == "down", "it is down", service)
    wait_until(lambda: REASONS[name] in service.model(name)["reason"], "the reason is told", service)


@pytest.mark.parametrize("name", REASONS)
def test_its_images_are_503_with_the_reason_at_once(service: RunningService, name: str) -> None:
    def answer_of_a_model_that_is_down() -> bool:
        # It is started from time to time, and then images wait for it.
        answer = service.analyze(JPEG, f"models={name}", **{"X-Request-Timeout-Ms": "1000"})
        assert answer.status == 503
        assert "retry-after" in answer.headers
        if answer.json["type"] == "/v1/problems/deadline":
            return False
        assert answer.json["type"] == "/v1/problems/model-down"
        assert answer.json["component"] == "model"
        assert REASONS[name] in answer.json["reason"]
        assert answer.json["detail"].startswith(f"{name}@1: ")
        return True

    wait_until(answer_of_a_model_that_is_down, "the reason is told", service)


def test_the_service_is_not_ready_and_names_them(service: RunningService) -> None:
    def are_named() -> bool:
        answer = service.get("/health/ready")
        states = answer.json["models"]
        return answer.status == 503 and all(states[f"{name}@1"] == "down" for name in REASONS)

    wait_until(are_named, "they are named", service)
    assert service.get("/health/live").status == 200


def test_the_other_model_answers_alone_and_together_with_them(service: RunningService) -> None:
    assert service.analyze(JPEG, "models=null").status == 200
    answer = service.analyze(JPEG, "", **{"X-Request-Timeout-Ms": "2000"})
    assert answer.status == 200
    models = answer.json["models"]
    assert set(models["null@1"]["scores"]) == {"red", "green", "blue"}
    assert {models[f"{name}@1"]["error"]["status"] for name in REASONS} == {503}


def test_the_bug_is_in_the_log_and_the_service_goes_on(service: RunningService) -> None:
    assert "ZeroDivisionError: a bug that shows on 1 images" in service.logged
    assert service.process.poll() is None
    assert service.model("null")["gate"]["images"] == 0
