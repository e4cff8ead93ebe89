"""Dead letters without a message: a malformed body, or one that the broker gave up delivering."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from panopticon.messages import Count, ModelName
from panopticon.results.outputs import Failure, FailureState, VersionName

NO_VERSION = VersionName(model="catalogue", version=1)
"""The version that `dead list` names for a body that cannot be read, or that came from no model's queue."""

BAD_MESSAGE = "bad_message"
"""The reason code of a body that breaks the wire contract."""


class Undeliverable(BaseModel):
    """A body kept verbatim, with the queue that it came from and the reason."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, cache_strings="keys")

    schema_: Literal[1] = Field(default=1, alias="schema")
    model: ModelName
    version: Count
    reason: str
    detail: str
    body: Base64Bytes


def encode_envelope(body: bytes, *, version: VersionName, reason: str, detail: str) -> bytes:
    """Encode the message that goes to the queue `panopticon.undeliverable`."""
    return _envelope(body, version, reason, detail).model_dump_json(by_alias=True).encode()


def failure_of(envelope: bytes, *, at_ms: int) -> Failure:
    """Make the Failure that stores a dead letter. Its ID is a hash of the body, so repeats are one failure.

    An upload reaches the queues of the catalogue and of every model. So a body that cannot be read is kept
    under `NO_VERSION`, whichever queue it came from: it is one failure, and the detail names the queue.
    A body that is not an envelope was put there by the broker, and is stored verbatim.
    """
    try:
        parsed = Undeliverable.model_validate_json(envelope)
    except ValidationError:
        parsed = _envelope(envelope, NO_VERSION, "undeliverable", "the broker gave it up")
    version, detail = VersionName(model=parsed.model, version=parsed.version), parsed.detail
    if parsed.reason == BAD_MESSAGE and version != NO_VERSION:
        version, detail = NO_VERSION, f"{detail} (in the queue of {version})"
    image_id = f"message-{hashlib.sha256(parsed.body).hexdigest()[:32]}"
    return Failure(
        key=version.key(image_id, revision=0),
        state=FailureState.DEAD,
        reason=parsed.reason,
        detail=detail,
        attempts=0,
        last_at_ms=at_ms,
        message=parsed.body,
    )


def _envelope(body: bytes, version: VersionName, reason: str, detail: str) -> Undeliverable:
    """Make an envelope without validation, which would take `body` for its base64."""
    return Undeliverable.model_construct(
        schema_=1, model=version.model, version=version.version, reason=reason, detail=detail, body=body
    )
