"""The files around the code: what installs it, what tests it, and what is shipped."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("panopticon", "storage", "workers")
EXTRAS = {"cpu", "gpu", "rabbitmq", "cassandra", "opensearch", "s3", "raw", "serve", "samples", "dev"}
COMMANDS = [
    "index",
    "submit",
    "classify",
    "worker",
    "indexer",
    "serve",
    "search",
    "show",
    "status",
    "audit",
    "backfill",
    "ids",
    "dead",
    "erase",
    "models",
    "policy",
]


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", "utf-8")
    return parser


def requirements() -> list[Requirement]:
    parser = setup_cfg()
    lists = [parser["options"]["install_requires"], *parser["options.extras_require"].values()]
    return [Requirement(line) for text in lists for line in text.split("\n") if line]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if "==" in line]
    return {canonicalize_name(name): version for name, version in pairs}


def run(
    *command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


def test_every_extra_that_is_documented_exists() -> None:
    assert set(setup_cfg()["options.extras_require"]) == EXTRAS


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_the_lock_pins_every_dependency_to_a_version_that_is_allowed(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_the_lock_pins_what_builds_the_package() -> None:
    assert "setuptools" in pins()


def test_the_lock_names_no_host_and_no_folder_of_the_machine_that_made_it() -> None:
    lock = (ROOT / "constraints.txt").read_text("utf-8")
    assert re.findall(r"https?://|file://|[\s=]/\w", lock) == []


def test_the_version_of_the_code_is_that_of_its_distribution() -> None:
    ran = run(Path(sys.executable).with_name("panopticon"), "--version")
    assert ran.stdout.split()[-1] == setup_cfg()["metadata"]["version"]


def test_help_lists_every_command() -> None:
    ran = run(Path(sys.executable).with_name("panopticon"), "--help")
    listed = re.findall(r"^  ([a-z]+)  ", ran.stdout.partition("Commands:")[2], flags=re.MULTILINE)
    assert (listed, ran.stderr) == ([*COMMANDS, "tokens", "doctor", "settings"], "")


def test_ci_calls_make_test_in_the_checkout_and_nothing_else(tmp_path: Path) -> None:
    made = executable(tmp_path / "bin" / "make", 'echo "$PWD: $*"; exit 3')
    script = shutil.copy(ROOT / ".ci" / "run", tmp_path / "run")
    inside = tmp_path / "checkout" / ".ci"
    inside.mkdir(parents=True)
    environ = {**os.environ, "PATH": f"{made.parent}:{os.environ['PATH']}"}
    ran = run(shutil.move(script, inside), env=environ, cwd=Path("/"))
    assert (ran.returncode, ran.stdout) == (3, f"{tmp_path}/checkout: test\n")


def test_make_alone_lists_the_whole_vocabulary(checkout: Path) -> None:
    ran = run("make", cwd=checkout)
    listed = re.findall(r"^  make ([a-z-]+) ", ran.stdout, flags=re.MULTILINE)
    assert listed == ["help", "run", "test", "check", "bench", "docs", "test-soak"]


def test_an_old_python_is_refused_in_one_line(checkout: Path) -> None:
    old = executable(checkout / "old", '[ "$1" = -V ] && echo Python 3.9.2; [ "$1" = -V ]')
    ran = run("make", "--silent", "run", f"PYTHON={old}", cwd=checkout)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[0] == (
        "Python 3.11 or newer is needed, this is Python 3.9.2; name another with make PYTHON=…"
    )


def test_a_python_without_venv_is_refused_with_the_remedy_and_leaves_nothing_behind(checkout: Path) -> None:
    bare = executable(checkout / "bare", 'case "$2" in *ensurepip*) exit 1;; esac')
    ran = run("make", "--silent", "run", f"PYTHON={bare}", cwd=checkout)
    assert "apt install python3-venv" in ran.stderr.splitlines()[0]
    assert not (checkout / ".venv").exists()


def test_no_python_at_all_is_refused_in_one_line(checkout: Path) -> None:
    ran = run("make", "--silent", "run", "PYTHON=no-such-python", cwd=checkout)
    assert ran.stderr.splitlines()[0] == "Python 3.11 or newer is needed; name it with make PYTHON=…"


def test_a_wheel_carries_every_file_of_the_packages(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    ran = run(
        sys.executable, "-c", "from setuptools.build_meta import build_wheel; build_wheel('.')", cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    (wheel,) = tmp_path.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    files = [path for package in PACKAGES for path in (tmp_path / package).rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path).as_posix() for path in files} <= shipped
