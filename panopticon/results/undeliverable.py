"""What no consumer could take: a body that is no message, or one the broker gave up on."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from panopticon.messages import Count, ModelName
from panopticon.results.outputs import Failure, FailureState, OutputKey, VersionName

NO_VERSION = VersionName(model="catalogue", version=1)
"""Under this name `dead list` shows what no model's queue was to blame for."""


class Undeliverable(BaseModel):
    """A body as it came, with the queue that held it and why it was set aside."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, cache_strings="keys")

    schema_: Literal[1] = Field(default=1, alias="schema")
    model: ModelName
    version: Count
    reason: str
    detail: str
    body: Base64Bytes


def set_aside(body: bytes, *, version: VersionName, reason: str, detail: str) -> bytes:
    """The message that goes to the queue `panopticon.undeliverable`."""
    return _letter(body, version, reason, detail).model_dump_json(by_alias=True).encode()


def failure_of(letter: bytes, *, at_ms: int) -> Failure:
    """The Failure under which it is kept: its ID is made from the body, so repeats are one.

    What is no letter of ours was put there by the broker, and is kept as it came.
    """
    try:
        parsed = Undeliverable.model_validate_json(letter)
    except ValidationError:
        parsed = _letter(letter, NO_VERSION, "undeliverable", "the broker gave it up")
    image_id = f"message-{hashlib.sha256(parsed.body).hexdigest()[:32]}"
    return Failure(
        key=OutputKey(image_id=image_id, model=parsed.model, version=parsed.version, revision=0),
        state=FailureState.DEAD,
        reason=parsed.reason,
        detail=parsed.detail,
        attempts=0,
        last_at_ms=at_ms,
        message=parsed.body,
    )


def _letter(body: bytes, version: VersionName, reason: str, detail: str) -> Undeliverable:
    """Unvalidated, since validation would take `body` for its base64."""
    return Undeliverable.model_construct(
        schema_=1, model=version.model, version=version.version, reason=reason, detail=detail, body=body
    )
