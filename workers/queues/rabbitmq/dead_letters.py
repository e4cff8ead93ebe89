"""Messages that the broker dead-lettered, in an envelope that names their queue and the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panopticon.results.undeliverable import NO_VERSION, encode_envelope
from workers.queues.rabbitmq.topology import names

_ENDS_OF_A_WAIT = ("expired",)


def envelope_of(body: bytes, headers: Mapping[str, Any]) -> bytes:
    """Wrap a body as `encode_envelope` does; one that a program of ours dead-lettered is an envelope
    already."""
    deaths = [death for death in headers.get("x-death", []) if death.get("reason") not in _ENDS_OF_A_WAIT]
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
