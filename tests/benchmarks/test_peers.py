"""The files that make the environments of the peers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.http.contestants import PEERS, Variant
from benchmarks.http.venvs import REQUIREMENTS
from tests.test_checkout import pins

MODEL_LIBRARIES = ("ai-edge-litert", "keras", "msgpack", "numpy", "pi-heif", "pillow", "pydantic")
NAMES = [peer.name for peer in PEERS]


def pinned(path: Path) -> dict[str, str]:
    pairs = [line.split("==") for line in path.read_text("utf-8").splitlines()]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


@pytest.mark.parametrize("name", NAMES)
def test_a_peer_runs_the_model_with_the_libraries_of_this_project(name: str) -> None:
    theirs, ours = pinned(REQUIREMENTS / f"{name}.txt"), pins()
    assert {library: theirs[library] for library in MODEL_LIBRARIES} == {
        library: ours[library] for library in MODEL_LIBRARIES
    }


def test_there_are_requirements_of_every_peer_and_of_nothing_else() -> None:
    assert sorted(path.stem for path in REQUIREMENTS.glob("*.txt")) == sorted(NAMES)


@pytest.mark.parametrize("peer", PEERS, ids=NAMES)
def test_no_settings_of_a_peer_run_more_engines_than_there_are_cores_or_repeat_others(peer: object) -> None:
    (found,) = [one for one in PEERS if one is peer]
    ways: list[Variant] = list(found.ways(cores=4, batch=8))
    assert len(set(ways)) == len(ways)
    assert all(way.processes * way.threads <= 4 and way.max_batch in (1, 8) for way in ways)
