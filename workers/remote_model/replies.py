"""The meaning of each answer of the service for the image that was sent, and for the service itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.scheduling.items import Hello
from workers.remote_model.connection import HttpReply

OK = 200
FULL = 429
REJECTED = 422
LOADING, READY = "loading", "ready"
MAX_DETAIL_CHARS = 300
DEFAULT_WAIT_S = 1.0
MAX_WAIT_S = 60.0
"""The longest wait that a reply may ask for: one mistake must not keep an image for ever."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysed:
    """The model has run on the image."""

    vector: NDArray[np.float32]
    engine: str
    libraries: str
    source_sha256: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The answer about this image is an error, as a model process would have given it."""

    error: Rejected | Transient | Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """The service is up, and has no room now."""

    wait_s: float
    encoded: bytes | None = None
    """The image, if it was fetched here, so that it need not be fetched again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """There is no answer, and it is not known whether the image or the service is at fault."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """The service cannot run the model at present, whatever the image."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """The service runs the model of the card."""

    hello: Hello
    replicas: int
    gate: int
    """Images that the service admits at once for this model, of all its clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """The service is about to run the model."""


Analysis = Analysed | Refused | Full | Unanswered | Down
Description = Up | Loading | Down


def description_of(reply: HttpReply, card: ModelCard) -> Description:
    """Read the answer of `GET /v1/models/{version}`."""
    if reply.status != OK:
        return Down(reason=_refusal(reply))
    try:
        fields = _object(reply.body)
        digest, state = str(fields["digest"]), str(fields["state"])
        if digest != card.digest:
            return Down(reason=other_digest(card, digest))
        if state == LOADING:
            return Loading()
        if state != READY:
            said = _short(fields.get("reason"))
            return Down(reason=f"has {card.version_name} {state}" + (f": {said}" if said else ""))
        hello = Hello(
            digest=digest,
            engine=str(fields["engine"]),
            libraries=str(fields["libraries"]),
            best_batch=max(int(fields["best_batch"]), 1),
            dim=int(fields["dim"]),
        )
        replicas = max(int(fields["ready_replicas"]), 1)
        gate = int(fields["gate"]["max_images"])
    except (ValueError, LookupError, TypeError, OverflowError):
        return Down(reason="answers something else than the description of a model")
    if hello.dim != len(card.labels):
        return Down(
            reason=f"has {card.version_name} with {hello.dim} elements; here it has {len(card.labels)}"
        )
    return Up(hello=hello, replicas=replicas, gate=gate)


def analysis_of(reply: HttpReply, card: ModelCard) -> Analysis:
    """Read the answer of `POST /v1/analyze` about one image and one model."""
    if reply.status == OK:
        return _analysed(reply, card)
    problem = _problem(reply)
    detail = _detail(problem, card)
    reason = problem.get("reason")
    match reply.status:
        case 413 if problem:
            return Refused(error=Rejected("too_many_bytes", detail))
        case 422 if isinstance(reason, str):
            return Refused(error=Rejected(reason, "" if detail == reason else detail))
        case 429:
            return Full(wait_s=_wait_s(reply, problem))
        case 502 if isinstance(reason, str):
            return Refused(error=Transient(reason, "" if detail == reason else detail))
        case 503:
            return _not_now(reply, problem, detail)
        case 401 | 403 | 404:
            return Down(reason=_refusal(reply))
    # Also what is not from the service but from a proxy in front of it.
    return Unanswered(reason=_refusal(reply))


def other_digest(card: ModelCard, digest: str) -> str:
    """Return why vectors of another digest are not taken, and the way out."""
    return (
        f"has {card.version_name} with digest {digest[:12]}…, and its card here makes {card.digest[:12]}…; "
        "install the same card and weights on both"
    )


def _analysed(reply: HttpReply, card: ModelCard) -> Analysis:
    try:
        fields = _object(reply.body)
        image, answer = fields["image"], fields["models"][str(card.version_name)]
        if answer["digest"] != card.digest:
            return Down(reason=other_digest(card, str(answer["digest"])))
        # An overflow is infinite, and refused below.
        with np.errstate(over="ignore"):
            vector = np.array(answer["vector"], dtype=np.float32)
        if vector.shape != (len(card.labels),) or not np.isfinite(vector).all():
            raise ValueError("a vector of another form")
        return Analysed(
            vector=vector,
            engine=str(answer["engine"]),
            libraries=str(answer["libraries"]),
            source_sha256=str(image["sha256"]),
            width_px=int(image["width_px"]),
            height_px=int(image["height_px"]),
        )
    except (ValueError, LookupError, TypeError, OverflowError):
        return Unanswered(reason="answers something else than an analysis by this model")


def _not_now(reply: HttpReply, problem: Mapping[str, Any], detail: str) -> Analysis:
    component, slug = problem.get("component"), str(problem.get("type", "")).rpartition("/")[2]
    # Fetching is a step of the model process there, as it is here.
    if component == "source":
        return Refused(error=Unavailable("source", _short(problem.get("reason")) or detail))
    if slug == "deadline":
        return Unanswered(reason=_refusal(reply))
    if slug == "busy":
        return Full(wait_s=_wait_s(reply, problem))
    return Down(reason=_refusal(reply))


def _refusal(reply: HttpReply) -> str:
    """Return the status and what was said with it."""
    detail = _short(_problem(reply).get("detail"))
    said = f"answers {reply.status}" + (f": {detail}" if detail else "")
    if reply.status in (401, 403):
        return f"{said}; the setting espresso_token must hold a token with the scopes read and analyze"
    return said


def _detail(problem: Mapping[str, Any], card: ModelCard) -> str:
    return _short(problem.get("detail")).removeprefix(f"{card.version_name}: ")


def _wait_s(reply: HttpReply, problem: Mapping[str, Any]) -> float:
    for value, divisor in ((problem.get("retry_after_ms"), 1000), (reply.headers.get("Retry-After"), 1)):
        try:
            wait_s = float(value) / divisor  # type: ignore[arg-type]
        # It is absent, or a date.
        except (TypeError, ValueError, OverflowError):
            continue
        if math.isfinite(wait_s) and wait_s >= 0:
            return min(wait_s, MAX_WAIT_S)
    return DEFAULT_WAIT_S


def _problem(reply: HttpReply) -> dict[str, Any]:
    """Return the problem document; empty if the answer has none."""
    if "problem+json" not in reply.headers.get("Content-Type", ""):
        return {}
    try:
        return _object(reply.body)
    except ValueError:
        return {}


def _object(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _short(text: object) -> str:
    return str(text or "")[:MAX_DETAIL_CHARS]
