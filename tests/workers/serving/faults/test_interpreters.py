"""Two models in interpreters of their own, whose libraries could not be imported together."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workers.serving.faults.cards import write_card
from tests.workers.serving.running import JPEG, RunningService, running


@pytest.fixture
def service(
    tmp_path: Path, environment_with: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningService]:
    """A service of two models in environments of NumPy 1 and 2, and one in its own interpreter."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    models = tmp_path / "models"
    write_card(models, "old", needs=f'python = "{environment_with("1.26")}"')
    # The environment of the tests is one with NumPy 2.
    write_card(models, "new", needs=f'python = "{sys.executable}"')
    write_card(models, "own")
    with running(tmp_path, "old@1", "new@1", "own@1", models_dir=models) as service:
        yield service


def test_two_models_with_different_numpys_answer_one_request_together(service: RunningService) -> None:
    answer = service.analyze()
    assert answer.status == 200
    models = answer.json["models"]
    libraries = {name: model["libraries"] for name, model in models.items()}
    assert re.fullmatch(r"numpy 1\.26\.\d+", libraries["old@1"])
    assert re.fullmatch(r"numpy 2\.\d+\.\d+", libraries["new@1"])
    # One model, one picture: the numbers do not depend on the interpreter.
    assert models["old@1"]["scores"] == models["new@1"]["scores"] == models["own@1"]["scores"]
    listed = {model["name"]: model["libraries"] for model in service.get("/v1/models").json["models"]}
    assert listed == libraries
    alone = service.analyze(JPEG, "models=old,new").json["models"]
    assert set(alone) == {"old@1", "new@1"}
