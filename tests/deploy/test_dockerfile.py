"""The image contains what it needs and no more, and its health check is right."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from panopticon.settings import read_settings
from tests.deploy.compose import FOLDER, ROOT
from tests.test_checkout import PACKAGES, setup_cfg

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")


def variables() -> dict[str, str]:
    """Return the variables of every ENV."""
    lines = re.findall(r"^ENV (.*)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def health_check() -> str:
    found = re.search(r"^HEALTHCHECK .*?CMD (.*)$", DOCKERFILE, flags=re.MULTILINE)
    assert found
    return found[1]


def healthy(ready: Path) -> bool:
    environ = {**os.environ, "PANOPTICON_READY_FILE": str(ready)}
    return subprocess.run(["sh", "-c", health_check()], env=environ, check=False).returncode == 0


class TestHealth:
    def test_a_worker_with_a_fresh_ready_file_is_healthy(self, tmp_path: Path) -> None:
        (tmp_path / "ready").touch()
        assert healthy(tmp_path / "ready")

    def test_a_worker_without_a_ready_file_is_unhealthy(self, tmp_path: Path) -> None:
        assert not healthy(tmp_path / "ready")

    def test_a_worker_with_an_old_ready_file_is_unhealthy(self, tmp_path: Path) -> None:
        (tmp_path / "ready").touch()
        os.utime(tmp_path / "ready", (1000, 1000))
        assert not healthy(tmp_path / "ready")


def test_its_base_is_pinned_to_a_patch_of_the_oldest_python() -> None:
    (python,) = re.findall(r"^ARG PYTHON=python:(\S+)$", DOCKERFILE, flags=re.MULTILINE)
    oldest = setup_cfg()["options"]["python_requires"].removeprefix(">=")
    assert re.fullmatch(rf"{re.escape(oldest)}\.\d+-slim-bookworm", python)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)) == {
        "${PYTHON}",
        "source",
        "house",
    }


def test_the_extras_that_it_installs_exist_and_are_not_those_for_developers() -> None:
    extras = {extra for names in re.findall(r"'\.\[(.*?)\]'", DOCKERFILE) for extra in names.split(",")}
    assert extras == {"cpu", "gpu", "rabbitmq", "cassandra", "opensearch", "s3", "raw", "serve"}
    assert extras <= set(setup_cfg()["options.extras_require"])


def test_everything_is_installed_by_the_lock() -> None:
    assert variables()["PIP_CONSTRAINT"] == "/source/constraints.txt"
    assert variables()["PIP_BUILD_CONSTRAINT"] == "/source/constraints.txt"


def test_the_program_accepts_its_settings() -> None:
    environ = {key: value for key, value in variables().items() if key.startswith("PANOPTICON_")}
    settings = read_settings(flags={}, environ=environ)
    assert settings.model_fields_set == {"cache_dir", "ready_file"}


def test_the_build_converts_every_model_of_the_fleet_into_the_cache_that_workers_read() -> None:
    fleet = read_settings(flags={}, environ={}, file=FOLDER / "panopticon.toml")
    (converted,) = re.findall(r"for model in (.*?);", DOCKERFILE)
    assert tuple(converted.split()) == fleet.models
    assert f"--cache-dir={variables()['PANOPTICON_CACHE_DIR']}" in DOCKERFILE


def test_its_last_user_is_not_root() -> None:
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, flags=re.MULTILINE) == ["10001:10001"]


def test_the_last_stage_is_the_one_for_cpus() -> None:
    assert re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)[-1] == "runtime"


@pytest.mark.parametrize("name", [*PACKAGES, "constraints.txt", "setup.cfg", "pyproject.toml", "README.md"])
def test_only_the_files_of_the_package_are_sent_to_the_builder(name: str) -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines
    assert name in allowed
    assert [other for other in allowed if not (ROOT / other).exists()] == []
