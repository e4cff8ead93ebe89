"""The model that every peer serves: bytes of pictures → answers, by the code that this service uses too."""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.http.peers.config import PeerConfig
from panopticon.cards.cards import ModelCard, read_card
from panopticon.engines import open_engine
from panopticon.images.decoding import decode
from panopticon.interfaces import Engine
from panopticon.policy.policy import PolicyEvaluator, policy_of

_STEPS = struct.Struct("dd")


class StepClock:
    """CPU seconds of decode and run of one process, in a file, so that they can be read from outside."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._spent_s = [0.0, 0.0]
        file = (folder / str(os.getpid())).open("w+b")
        file.truncate(_STEPS.size)
        self._memory = mmap.mmap(file.fileno(), _STEPS.size)

    def add(self, *, decode_s: float, run_s: float) -> None:
        with self._lock:
            self._spent_s[0] += decode_s
            self._spent_s[1] += run_s
            _STEPS.pack_into(self._memory, 0, *self._spent_s)


def read_steps(folder: Path) -> float:
    """Return the CPU seconds of decode and run of all processes that count in this folder."""
    return sum(sum(_STEPS.unpack(path.read_bytes())) for path in folder.iterdir())


class PeerModel:
    """One model in one process. Any thread may call it; each gets an engine of its own."""

    def __init__(self, config: PeerConfig) -> None:
        self._card = read_card(Path(config.card))
        self._cache_dir = Path(config.cache_dir)
        self._clock = StepClock(Path(config.steps_dir))
        self._of_thread = threading.local()
        self._evaluator = PolicyEvaluator(
            policy_of(self._card.policy), task=self._card.task, labels=self._card.labels
        )

    @property
    def card(self) -> ModelCard:
        return self._card

    def load(self) -> None:
        """Load the engine of this thread, so that no request waits for it."""
        self._engine()

    def answer(self, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
        """Decode and run these pictures as one batch."""
        engine = self._engine()
        begun_s = time.thread_time()
        card = self._card
        pixels = [decode(body, input=card.input, preprocessing=card.preprocessing).pixels for body in bodies]
        decoded_s = time.thread_time()
        vectors = engine.run(np.stack(pixels))
        ended_s = time.thread_time()
        self._clock.add(decode_s=decoded_s - begun_s, run_s=ended_s - decoded_s)
        return [self._evaluated(vector.astype(card.output.dtype)) for vector in vectors]

    def _evaluated(self, vector: Any) -> dict[str, Any]:
        evaluation = self._evaluator.evaluate(vector)
        answer: dict[str, Any] = {"model": str(self._card.version_name), "digest": self._card.digest}
        if self._card.task == "scoring":
            return {**answer, "scores": dict(evaluation.scores)}
        return {**answer, "tags": [tag.model_dump(mode="json") for tag in evaluation.tags]}

    def _engine(self) -> Engine:
        engine: Engine | None = getattr(self._of_thread, "engine", None)
        if engine is None:
            engine = open_engine(self._card, cache_dir=self._cache_dir)
            engine.load()
            self._of_thread.engine = engine
        return engine
