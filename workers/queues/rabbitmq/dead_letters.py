"""Envelopes for messages that the broker dead-lettered; they name the queue and the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panopticon.results.undeliverable import NO_VERSION, encode_envelope
from workers.queues.rabbitmq.topology import names


def envelope_of(body: bytes, headers: Mapping[str, Any]) -> bytes:
    """Return the body in an envelope, as `encode_envelope` makes it.

    A body without a death in its headers was dead-lettered by Panopticon, and is an envelope already.
    """
    # `expired` is the end of a wait in a retry queue.
    deaths = [death for death in headers.get("x-death", []) if death.get("reason") != "expired"]
    if not deaths:
        return body
    queue, reason = str(deaths[0].get("queue", "")), str(deaths[0].get("reason", "undeliverable"))
    return encode_envelope(
        body,
        version=names.version_of(queue) or NO_VERSION,
        reason=reason,
        detail=f"the broker gave it up after too many deliveries from {queue}"
        if reason == "delivery_limit"
        else f"the broker took it from {queue}: {reason}",
    )
