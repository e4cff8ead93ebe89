"""Rows encoded in one value each, so that two writes of one row never mix."""

from __future__ import annotations

import struct

import msgpack

from panopticon.results.outputs import CatalogueImage, Failure, FailureState, OutputKey
from storage.stores.failure_fields import storable

_EVENTS = ("uploaded", "deleted")
_HEAD = struct.Struct(">QBQ")
_SHIFT = 2**63
_MOVED = chr(0x10FFFF)
"""The mark of a row with the time of a move: greater than any beginning of a URI, and valid in UTF-8, so that
the release before reads such a row too, as one with an unknown kind of URI."""
_TIME_DIGITS = 16
_EARLY = 2**64
"""Added to a time before 1970, so that its digits are those of no time of a move, and sort after them all."""


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

    Of two values with the same timestamp, Cassandra keeps the greater one. The head of a row with a time
    before 1970 is that of an unknown time, 0, which the time itself follows like that of a move: so it is
    greater than an unknown time and less than any other, and the release before reads it as unknown.
    """
    at_ms, place = image.occurred_at_ms, image.image_uri
    if image.located_at_ms or place.startswith(_MOVED):
        place = _marked(image.located_at_ms, place)
    if at_ms < 0:
        at_ms, place = 0, _marked(at_ms + _EARLY, place)
    return _HEAD.pack(image.revision, _EVENTS.index(image.event), at_ms + _SHIFT) + place.encode()


def decode_image(image_id: str, payload: bytes) -> CatalogueImage:
    """Decode what `encode_image` encoded."""
    revision, event, shifted_ms = _HEAD.unpack_from(payload)
    at_ms, located_at_ms, uri = shifted_ms - _SHIFT, 0, payload[_HEAD.size :].decode()
    while uri.startswith(_MOVED):
        mark, uri = int(uri[1 : _TIME_DIGITS + 1], 16), uri[_TIME_DIGITS + 1 :]
        if mark < _SHIFT:
            located_at_ms = mark
            break
        at_ms = mark - _EARLY
    return CatalogueImage(
        image_id=image_id,
        revision=revision,
        image_uri=uri,
        event=_EVENTS[event],
        occurred_at_ms=at_ms,
        located_at_ms=located_at_ms,
    )


def _marked(time_ms: int, place: str) -> str:
    return f"{_MOVED}{time_ms:0{_TIME_DIGITS}x}{place}"
