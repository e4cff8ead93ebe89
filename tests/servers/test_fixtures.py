"""The tests that need a server run in one process, and no second process starts it again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.fixtures import only_process
from tests.servers.guardian import guarded

ROOT = Path(__file__).parents[2]

OF_THE_SERVER = """
import os, pytest

@pytest.fixture(scope="session")
def rabbit_node():
    return None

@pytest.mark.parametrize("number", range(6))
def test_of_the_server(rabbit_node, number):
    with open("processes", "a") as seen:
        seen.write(f"server {os.getpid()}\\n")
"""
OF_NO_SERVER = """
import os, pytest

@pytest.mark.parametrize("number", range(6))
def test_of_no_server(number):
    with open("processes", "a") as seen:
        seen.write(f"none {os.getpid()}\\n")
"""


def test_tests_of_one_server_in_several_files_run_in_one_process_of_two(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"test_of_the_server_{number}.py").write_text(OF_THE_SERVER)
    (tmp_path / "test_of_no_server.py").write_text(OF_NO_SERVER)
    lines = ran_in_two_processes(tmp_path)
    assert len(lines) == 18
    assert len({process for kind, process in lines if kind == "server"}) == 1
    assert len({process for _, process in lines}) == 2


def test_tests_of_one_file_run_in_one_process(tmp_path: Path) -> None:
    for number in range(4):
        text = OF_NO_SERVER.replace("none", f"file-{number}")
        (tmp_path / f"test_of_no_server_{number}.py").write_text(text)
    lines = ran_in_two_processes(tmp_path)
    assert len({process for _, process in lines}) == 2
    assert len({(kind, process) for kind, process in lines}) == 4


def ran_in_two_processes(tmp_path: Path) -> list[list[str]]:
    """Run the tests of a folder, and return the two words that each of them has written."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ["-p", "tests.servers.fixtures", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options],
        cwd=tmp_path,
        env=guarded({"PYTHONPATH": str(ROOT)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return [line.split() for line in (tmp_path / "processes").read_text().splitlines()]


def test_a_server_that_another_process_of_the_run_has_started_is_not_started_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with only_process(tmp_path_factory, "a server"):
        with (
            pytest.raises(RuntimeError, match="another process of this run has started a server"),
            only_process(tmp_path_factory, "a server"),
        ):
            pass
        with only_process(tmp_path_factory, "another server"):
            pass
    with only_process(tmp_path_factory, "a server"):
        pass


def test_the_processes_of_a_run_share_the_claims(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    for name in ("popen-gw0", "popen-gw1"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tmp_path_factory, "getbasetemp", lambda: tmp_path / "popen-gw0")
    with only_process(tmp_path_factory, "a server"):
        monkeypatch.setattr(tmp_path_factory, "getbasetemp", lambda: tmp_path / "popen-gw1")
        with pytest.raises(RuntimeError), only_process(tmp_path_factory, "a server"):
            pass
