"""Rows encoded in one value each, so that two writes of one row never mix."""

from __future__ import annotations

import struct

import msgpack

from panopticon.results.outputs import CatalogueImage, Failure, FailureState, OutputKey
from storage.stores.failure_fields import storable

_EVENTS = ("uploaded", "deleted")
_HEAD = struct.Struct(">QBQ")
_SHIFT = 2**63


def encode_failure(failure: Failure) -> bytes:
    """Encode everything but the key."""
    fields = {
        "state": failure.state.value,
        "reason": failure.reason,
        "detail": storable(failure.detail),
        "attempts": failure.attempts,
        "last_at_ms": failure.last_at_ms,
        "message": failure.message,
    }
    # The release before does not know this field, and reads failures of every other state.
    if failure.retry_at_ms:
        fields["retry_at_ms"] = failure.retry_at_ms
    packed: bytes = msgpack.packb(fields)
    return packed


def decode_failure(key: OutputKey, payload: bytes) -> Failure:
    """Decode what `encode_failure` encoded."""
    fields = msgpack.unpackb(payload)
    return Failure(key=key, state=FailureState(fields.pop("state")), **fields)


def encode_image(image: CatalogueImage) -> bytes:
    """Encode everything but the ID, in bytes whose order is that of `supersedes`.

    Of two values with the same timestamp, Cassandra keeps the greater one.
    """
    head = _HEAD.pack(image.revision, _EVENTS.index(image.event), image.occurred_at_ms + _SHIFT)
    return head + image.image_uri.encode()


def decode_image(image_id: str, payload: bytes) -> CatalogueImage:
    """Decode what `encode_image` encoded."""
    revision, event, shifted_ms = _HEAD.unpack_from(payload)
    return CatalogueImage(
        image_id=image_id,
        revision=revision,
        image_uri=payload[_HEAD.size :].decode(),
        event=_EVENTS[event],
        occurred_at_ms=shifted_ms - _SHIFT,
    )
