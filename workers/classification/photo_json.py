"""The JSON of one photo: the same objects as the answer of the HTTP service about one image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.scheduling.items import Answer, NotRun, Ran
from workers.classification.classifier import Photo
from workers.registry.answers import image_answer, model_answer
from workers.registry.policy_cache import ResolvedPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedModel:
    """One model version, and the policy by which its vectors are shown."""

    card: ModelCard
    policy: ResolvedPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The parts of each answer that are shown."""

    top_k: int | None
    """The most tags of one model; None: all that the policy keeps."""
    vectors: bool


def photo_json(photo: Photo, models: Sequence[AskedModel], shown: Shown) -> dict[str, Any]:
    """Return one photo as JSON. Bytes of its path that are not UTF-8 are lone surrogates, as in Python."""
    if photo.line.error is not None:
        answers: dict[str, Any] = {"error": _error(photo.line.error)}
        return {"path": os.fsdecode(photo.line.path), "image": None, "models": {}, **answers}
    first = next((answer for answer in photo.answers.values() if isinstance(answer, Ran)), None)
    return {
        "path": os.fsdecode(photo.line.path),
        "image": image_answer(first) if first else None,
        "models": {
            str(model.card.version_name): _answer(
                photo.answers[model.card.version_name], model, shown, first=first
            )
            for model in models
        },
    }


def has_error(line: dict[str, Any]) -> bool:
    """Return whether a line of `photo_json` holds any error."""
    return "error" in line or any("error" in answer for answer in line["models"].values())


def _answer(answer: Answer, model: AskedModel, shown: Shown, *, first: Ran | None) -> dict[str, Any]:
    if isinstance(answer, NotRun):
        return {"error": _error(answer.error)}
    # Each model reads the file by itself, and `image` describes what the first one has read.
    if first is not None and answer.source_sha256 != first.source_sha256:
        return {"error": {"reason": "changed", "detail": "the file changed while its models read it"}}
    try:
        return model_answer(model.card, answer, model.policy, top_k=shown.top_k, vector=shown.vectors)
    except Rejected as error:
        return {"error": _error(error)}


def _error(error: Rejected | Transient | Unavailable) -> dict[str, str]:
    if isinstance(error, Unavailable):
        return {"reason": f"{error.component}_unavailable", "detail": error.reason}
    return {"reason": error.reason, "detail": error.detail}
