"""`panopticon serve` on one machine: the service with workers that use it, and an indexer."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from panopticon.settings import Settings
from tests.pictures import encoded, photo
from tests.program import run, start
from tests.servers.ports import free_ports
from tests.workers.serving.running import JPEG, MODELS, RunningService, running, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service of one model with its worker and indexer."""
    folder = tmp_path_factory.mktemp("one")
    with running(folder, "null@1", words=(), registry_every_s=0.2) as service:
        yield service


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    files = [folder / f"{seed}.jpg" for seed in range(5)]
    for seed, file in enumerate(files):
        file.write_bytes(encoded(photo(seed=seed), "JPEG"))
    return files


def command(service: RunningService, *words: str) -> Any:
    done = run(*words, settings=service.settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout


def found(service: RunningService, query: str) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = service.get(f"/v1/search?{query}").json["images"]
    return images


def test_what_is_submitted_is_scored_by_the_service_and_found(
    service: RunningService, photos: list[Path]
) -> None:
    command(service, "submit", *map(str, photos))
    wait_until(lambda: len(found(service, "score=red%3D0..")) == len(photos), "all are found", service)
    for image in found(service, "score=red%3D0.."):
        report = service.get(f"/v1/images/{image['image_id']}")
        assert report.status == 200
        file = next(file for file in photos if file.name in image["image_uri"])
        model = service.analyze(file.read_bytes()).json["models"]["null@1"]
        # One model, one engine, one policy: the same numbers to the last digit.
        assert model["scores"] == image["scores"]
        assert model["policy_number"] == 1


def test_a_new_policy_answers_once_the_registry_was_read(service: RunningService, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('[renamed]\nred = "rouge"\n')
    command(service, "policy", "apply", "null@1", str(file))
    wait_until(
        lambda: "rouge" in service.analyze(JPEG).json["models"]["null@1"]["scores"], "the policy is used"
    )


def test_a_demo_serves_the_sample_photos_and_leaves_the_database_of_the_settings_alone(
    tmp_path: Path,
) -> None:
    with running(tmp_path, "null@1", words=("--demo",), drain_s=600) as service:
        assert re.search(r"demo: \d\d sample photos wait", service.logged)
        wait_until(lambda: len(found(service, "score=red=0..")) > 1, "photos are found", service)
        service.terminate()
        assert service.process.wait(60) == 0
    assert not (tmp_path / "service.db").exists()


def test_without_a_version_a_name_means_the_active_one(tmp_path: Path) -> None:
    settings = {"registry_every_s": 0.2}
    with running(tmp_path, "null@1", words=(), **settings) as service:
        assert service.model("null")["name"] == "null@1"
        assert service.model("null")["active"]


def test_the_workers_of_a_service_with_tokens_have_one_of_their_own(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    chosen = Settings.model_validate({"tokens_file": tokens})
    made = run("tokens", "add", "ann", "--scope", "read", settings=chosen)
    assert made.returncode == 0, made.stderr
    token = {"Authorization": f"Bearer {made.stdout.strip()}"}
    picture = tmp_path / "a.jpg"
    picture.write_bytes(JPEG)
    with running(tmp_path, "null@1", words=(), tokens_file=tokens) as service:
        assert service.analyze().status == 401
        assert service.analyze(JPEG, "", **token).status == 403
        command(service, "submit", str(picture))

        def is_found() -> bool:
            answer = service.get("/v1/search?score=red=0..", **token)
            return answer.status == 200 and len(answer.json["images"]) == 1

        wait_until(is_found, "the photo is found", service)


def test_a_token_to_operate_loads_and_unloads_and_reads_nothing(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    chosen = Settings.model_validate({"tokens_file": tokens})
    secret = run("tokens", "add", "deploy", "--scope", "operate", settings=chosen).stdout.strip()
    headers = {"Authorization": f"Bearer {secret}"}
    with running(tmp_path, "null@1", words=("--only-http",), tokens_file=tokens) as service:
        assert service.ask("GET", "/v1/models/null@1", headers=headers).status == 403
        assert service.ask("PUT", "/v1/models/slow@1", headers=headers).status == 202
        assert service.ask("DELETE", "/v1/models/slow@1", headers=headers).status == 202
        assert "slow@1: asked for by deploy" in service.logged
        assert secret not in service.logged


def test_a_service_whose_store_is_down_waits_for_it(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    chosen = Settings.model_validate(
        {
            "store": f"cassandra://127.0.0.1:{port}/panopticon",
            "cache_dir": tmp_path / "cache",
            "models_dir": MODELS,
            "http_port": 0,
            "park_max_s": 1,
        }
    )
    log = tmp_path / "log"
    process = start("serve", "--only-http", "--model", "null@1", settings=chosen, log=log)
    try:
        wait_until(lambda: "parked: store" in log.read_text(), "it waits for the store")
        assert "serving on" not in log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
