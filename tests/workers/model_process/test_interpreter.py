"""A model process in the interpreter that its card names, with packages of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from panopticon.cards.cards import ModelCard, read_card
from panopticon.errors import UsageError
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.scheduling.items import Ran
from panopticon.settings import Settings
from tests.panopticon.null_card import write_null_card
from tests.workers.model_process.test_real_process import PATIENCE_S, answer_of, encoded
from workers.model_process.client import ModelClient
from workers.model_process.frames import PROTOCOL
from workers.model_process.interpreter import REQUIREMENTS, refuse_unfit_interpreter
from workers.model_process.interpreter_probe import lacking
from workers.worker.run import prepare_model

PACKAGES_OF_THE_CHILD = """
import ast, importlib.metadata, sys
import storage.originals.connections, workers.model_process.main
roots = set()
for name, module in sys.modules.items():
    if name.partition(".")[0] in ("panopticon", "storage", "workers"):
        for step in ast.parse(open(module.__file__, encoding="utf-8").read()).body:
            if isinstance(step, ast.Import):
                roots |= {each.name.partition(".")[0] for each in step.names}
            elif isinstance(step, ast.ImportFrom):
                roots.add(step.module.partition(".")[0])
roots -= {"panopticon", "storage", "workers", *sys.stdlib_module_names}
packages = importlib.metadata.packages_distributions()
print(*{packages[root][0].lower().replace("_", "-") for root in roots})
"""


def card_with(folder: Path, python: str) -> ModelCard:
    path = write_null_card(folder / "card").folder / "card.toml"
    path.write_text(path.read_text("utf-8").replace("memory_mb", f'python = "{python}", memory_mb'), "utf-8")
    return read_card(path)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


def settings_of(folder: Path) -> Settings:
    return Settings.model_validate(
        {"database": f"sqlite:///{folder}/panopticon.db", "cache_dir": folder / "cache"}
    )


@pytest.fixture
def environment(environment_with: Callable[[str], Path]) -> Path:
    """The interpreter of an environment with the oldest NumPy that a model process takes."""
    return environment_with("1.26")


def test_a_model_runs_in_the_interpreter_of_its_card(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    card = card_with(tmp_path, str(environment))
    settings = settings_of(tmp_path)
    prepare_model(card, settings)
    with closing(ModelClient(card, settings, metrics=Metrics())) as model:
        model.add(Lane.LIVE, encoded=encoded((0, 0, 255)))
        answer = answer_of(model)
    assert isinstance(answer, Ran), str(answer)
    assert answer.vector.tolist() == [0, 0, 1]
    found = subprocess.run(
        [environment, "-c", "import numpy; print(numpy.__version__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.libraries == f"numpy {found.stdout.strip()}"


def test_an_interpreter_is_no_part_of_the_digest(tmp_path: Path) -> None:
    assert card_with(tmp_path / "one", "x").digest == write_null_card(tmp_path / "other").digest


def test_a_relative_interpreter_lies_next_to_the_card(tmp_path: Path) -> None:
    assert card_with(tmp_path, "venv/bin/python").own_python == tmp_path / "card" / "venv/bin/python"
    assert write_null_card(tmp_path / "other").own_python is None


@pytest.mark.parametrize("exists", [True, False])
def test_an_interpreter_that_cannot_be_started_is_refused_with_the_way_out(
    tmp_path: Path, exists: bool
) -> None:
    python = tmp_path / "python"
    if exists:
        python.write_text("", "utf-8")
    expected = rf"colour@1: needs.python {python}: it cannot be started .* -m pip install -r {REQUIREMENTS}$"
    with pytest.raises(UsageError, match=expected):
        refuse_unfit_interpreter(card_with(tmp_path, str(python)))


def test_an_interpreter_without_the_packages_is_refused_with_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    card = card_with(tmp_path, "../venv/bin/python")
    expected = r"it lacks msgpack >= 1.1, numpy >= 1.26, .*urllib3 >= 2.6; run .*python -m pip install -r "
    with pytest.raises(UsageError, match=expected) as refused:
        prepare_model(card, settings_of(tmp_path))
    assert "\n" not in str(refused.value)


def test_an_interpreter_that_runs_another_release_is_refused(tmp_path: Path) -> None:
    answer = f'{{"lacking": [], "protocol": {PROTOCOL - 1}}}'
    python = script(tmp_path / "python-of-another-release", f"echo '{answer}'")
    with pytest.raises(UsageError, match=f"frames of protocol {PROTOCOL - 1}, not {PROTOCOL}"):
        refuse_unfit_interpreter(card_with(tmp_path, str(python)))


def test_a_program_that_is_not_an_interpreter_is_refused_with_what_it_said(tmp_path: Path) -> None:
    python = script(tmp_path / "not-python", "echo 'no such option' >&2; exit 1")
    with pytest.raises(
        UsageError, match=r"not an interpreter that can run a model process \(no such option\)"
    ):
        refuse_unfit_interpreter(card_with(tmp_path, str(python)))


def test_an_interpreter_that_breaks_later_means_that_the_model_is_down(tmp_path: Path) -> None:
    card = card_with(tmp_path, str(tmp_path / "gone"))
    with closing(ModelClient(card, settings_of(tmp_path), metrics=Metrics())) as model:
        deadline_s = time.monotonic() + PATIENCE_S
        while model.down is None:
            model.poll(wait_s=0.05)
            assert time.monotonic() < deadline_s
    assert "it cannot be started" in str(model.down)


def test_the_requirements_are_what_the_child_imports() -> None:
    command = [sys.executable, "-c", PACKAGES_OF_THE_CHILD]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    required = re.findall(r"^([a-z0-9-]+) >= ", REQUIREMENTS.read_text("utf-8"), re.MULTILINE)
    # It comes with pydantic, in the one version that fits.
    assert sorted({*done.stdout.split()} - {"pydantic-core"}) == required


@pytest.mark.parametrize(
    ("requirement", "met"),
    [("numpy >= 1.26", True), ("numpy >= 999", False), ("no-such-package-at-all >= 1", False)],
)
def test_the_probe_compares_versions(requirement: str, met: bool) -> None:
    assert lacking(f"# a remark\n\n{requirement}\n") == ([] if met else [requirement])
