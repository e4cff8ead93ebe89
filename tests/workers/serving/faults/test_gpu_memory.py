"""Models whose shares are more than the GPU has. A script stands in for the program of its driver."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from panopticon.settings import Settings
from tests.program import run
from tests.workers.model_process.test_gpu import stand_in_for_nvidia_smi
from tests.workers.serving.faults.cards import write_card
from tests.workers.serving.running import JPEG, RunningService, running, wait_until

GPU_MB, SHARE_MB = 10_000, 6_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of models with a share each, on a machine whose GPU has room for one of them."""
    folder = tmp_path_factory.mktemp("gpu")
    for version in (1, 2):
        write_card(folder / "models", "large", version=version, needs=f"gpu_memory_mb = {SHARE_MB}")
    write_card(folder / "models", "small")
    stand_in_for_nvidia_smi(folder / "bin", f"echo {GPU_MB}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        yield folder


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[RunningService]:
    with running(folder, "large@1", models_dir=folder / "models") as service:
        yield service


@pytest.mark.parametrize(
    ("words", "replicas", "sum_of_shares"),
    [
        (["--model", "large@1", "--model", "large@2"], 1, "1 × large@1 6000 + 1 × large@2 6000 = 12000 MB"),
        (["--model", "large@1", "--model", "small@1"], 2, "2 × large@1 6000 = 12000 MB"),
    ],
)
def test_serve_ends_with_one_line_that_names_the_shares(
    folder: Path, tmp_path: Path, words: list[str], replicas: int, sum_of_shares: str
) -> None:
    chosen = Settings.model_validate(
        {
            "database": f"sqlite:///{tmp_path / 'x.db'}",
            "models_dir": folder / "models",
            "http_port": 0,
            "replicas": replicas,
        }
    )
    done = run("serve", "--only-http", *words, settings=chosen)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("panopticon: ")]
    assert len(lines) == 1
    assert f"gpu_memory_mb: {sum_of_shares} is more than the GPU's {GPU_MB} MB; serve fewer" in lines[0]
    assert "Traceback" not in done.stderr


def test_a_version_that_has_no_room_next_to_those_that_are_served_is_409(service: RunningService) -> None:
    answer = service.ask("PUT", "/v1/models/large@2")
    assert answer.status == 409
    assert answer.json["type"] == "/v1/problems/conflict"
    assert "1 × large@1 6000 + 1 × large@2 6000 = 12000 MB" in answer.json["detail"]
    assert (answer.json["parameter"], answer.json["value"]) == ("name", "large@2")
    assert service.get("/v1/models/large@2").status == 404
    assert service.analyze(JPEG, "models=large@1").status == 200


def test_a_version_that_is_served_already_and_one_without_a_share_are_loaded(service: RunningService) -> None:
    assert service.ask("PUT", "/v1/models/large@1").status == 202
    assert service.ask("PUT", "/v1/models/small@1").status == 202
    wait_until(lambda: service.model("small@1")["state"] == "ready", "it is ready", service)
    assert service.analyze(JPEG, "models=large,small").status == 200
