"""What the broker gave up on, as the letter that says where it came from and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panopticon.results.undeliverable import NO_VERSION, set_aside
from workers.queues.rabbitmq.topology import names

_ENDS_OF_A_WAIT = ("expired",)


def letter_of(body: bytes, headers: Mapping[str, Any]) -> bytes:
    """A letter as `set_aside` makes it. What the broker did not give up on is a letter already."""
    deaths = [death for death in headers.get("x-death", []) if death.get("reason") not in _ENDS_OF_A_WAIT]
    if not deaths:
        return body
    queue, reason = str(deaths[0].get("queue", "")), str(deaths[0].get("reason", "undeliverable"))
    return set_aside(
        body,
        version=names.version_of(queue) or NO_VERSION,
        reason=reason,
        detail=f"the broker gave it up after too many deliveries from {queue}"
        if reason == "delivery_limit"
        else f"the broker took it from {queue}: {reason}",
    )
