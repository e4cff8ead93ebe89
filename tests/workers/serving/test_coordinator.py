"""The answers of several models about one image are merged into one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from panopticon.cards.cards import ModelCard
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.scheduling.gate import Gate, Place
from panopticon.scheduling.items import NotRun
from panopticon.settings import Settings
from tests.panopticon.null_card import write_null_card
from tests.workers.serving.hand_replica import HELLO, HandReplica, ran
from workers.serving.coordinator import Asked, Coordinator, Picture, Request
from workers.serving.jobs import Job
from workers.serving.policies import Policies
from workers.serving.presence import Presence
from workers.serving.replica import Replica, ReplicaState, Turn
from workers.serving.served_model import ServedModel


class Reading(HandReplica):
    """Answers each image at once, as one whose bytes have this hash."""

    def __init__(self, report: Callable[[Replica, Turn], None], *, sha256: str) -> None:
        super().__init__(report)
        self._sha256 = sha256

    def give(self, job: Job) -> None:
        super().give(job)
        self.turn(answered=[(job, replace(ran(job), source_sha256=self._sha256))])


def served(card: ModelCard, *, sha256: str) -> ServedModel:
    def make(report: Callable[[Replica, Turn], None], _convict: Callable[[NotRun], None]) -> list[Replica]:
        return [Reading(report, sha256=sha256)]

    model = ServedModel(card, replicas=make, gate=Gate(max_places=9, max_bytes=99), metrics=Metrics())
    (replica,) = model._replicas
    assert isinstance(replica, Reading)
    replica.turn(ReplicaState(hello=HELLO))
    return model


def answer(tmp_path: Path, *sha256s: str) -> dict[str, Any]:
    """Return the answer about a URI under which each model has read another file."""
    cards = [write_null_card(tmp_path / str(number), version=number) for number in range(1, len(sha256s) + 1)]
    policies = Policies(Settings(database=f"sqlite:///{tmp_path}/none.db"))
    policies.read(cards)
    requests = []
    for card, sha256 in zip(cards, sha256s, strict=True):
        model = served(card, sha256=sha256)
        place = model.gate.enter(Lane.LIVE, 0)
        assert isinstance(place, Place)
        requests.append(Request(served=model, place=place))

    async def analyze() -> list[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        asked = Asked(client="ann", lane=Lane.LIVE, trace="", deadline_s=loop.time() + 60)
        picture = Picture(uri="http://photos.example/1")
        return await Coordinator(policies).analyze([picture], [requests], asked, client=Presence())

    (merged,) = asyncio.run(analyze())
    return merged


def test_models_that_have_read_the_same_file_are_answered_together(tmp_path: Path) -> None:
    merged = answer(tmp_path, "a" * 64, "a" * 64)
    assert merged["image"]["sha256"] == "a" * 64
    assert all("scores" in model for model in merged["models"].values())


def test_a_model_that_has_read_another_file_than_the_first_one_is_an_error(tmp_path: Path) -> None:
    merged = answer(tmp_path, "a" * 64, "b" * 64)
    assert merged["image"]["sha256"] == "a" * 64
    assert "scores" in merged["models"]["colour@1"]
    error = merged["models"]["colour@2"]["error"]
    assert (error["status"], error["reason"]) == (502, "changed")
