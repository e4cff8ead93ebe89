"""The two requests of a worker to the service, as a thread carries them out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.interfaces import FetchLimits, ImageSource
from panopticon.scheduling.items import Item
from panopticon.settings import Settings
from storage.originals import open_originals
from workers.remote_model.connection import BrokenOff, Connection, HttpReply, Unreachable
from workers.remote_model.replies import (
    Analysis,
    Description,
    Down,
    Full,
    Refused,
    Unanswered,
    analysis_of,
    description_of,
)

TIMEOUT_ITEMS = 10
"""Time that a request allows, in times of the longest run of one image. The service cuts it to its own limit.

An image that ends model processes is convicted after several of them were started, and the request must not
be over before: the service would forget the evidence.
"""
NETWORK_S = 60.0
"""Time that the network may add to what the service takes."""


@dataclass(frozen=True, slots=True, eq=False)
class Describe:
    """The call that asks for the state of the model."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analyze:
    """The call that sends one image."""

    item: Item
    request_id: str
    sent_s: float
    """Monotonic time."""
    encoded: bytes | None = None
    """The bytes of the image, if they are here already."""


Call = Describe | Analyze
Reply = Description | Analysis


class Requests:
    """Carries out calls, in any thread."""

    def __init__(self, card: ModelCard, settings: Settings, *, fetches: bool) -> None:
        """`fetches`: send the bytes of originals, and not their URIs."""
        self._card = card
        self._version = str(card.version_name)
        self._limits = FetchLimits(max_bytes=settings.max_bytes, timeout_s=settings.fetch_timeout_s)
        self._originals: ImageSource | None = open_originals(settings) if fetches else None
        self._authorization = (
            {"Authorization": f"Bearer {settings.espresso_token}"} if settings.espresso_token else {}
        )
        self._timeout_s = TIMEOUT_ITEMS * settings.item_timeout_s
        self._describe_s = 2 * settings.request_timeout_s

    def perform(self, call: Call, connection: Connection) -> Reply:
        """Carry out one call; every way in which it can fail is a reply."""
        if isinstance(call, Describe):
            return self._describe(connection)
        encoded = call.encoded
        if encoded is None and self._originals is not None:
            try:
                encoded = self._originals.fetch(call.item.uri, self._limits)
            except (Rejected, Transient, Unavailable) as error:
                return Refused(error=error)
        reply = self._answered(lambda: self._send(call, encoded, connection), analysis_of)
        return Full(wait_s=reply.wait_s, encoded=encoded) if isinstance(reply, Full) else reply

    def _describe(self, connection: Connection) -> Reply:
        def ask() -> HttpReply:
            path = f"/v1/models/{self._version}"
            return connection.request("GET", path, read_s=self._describe_s, headers=self._authorization)

        reply = self._answered(ask, description_of)
        # Without a description nothing is known of the service, whatever the reason.
        return Down(reason=reply.reason) if isinstance(reply, Unanswered) else reply

    def _send(self, call: Analyze, encoded: bytes | None, connection: Connection) -> HttpReply:
        headers = {
            **self._authorization,
            "Content-Type": "application/json" if encoded is None else "application/octet-stream",
            "X-Panopticon-Lane": call.item.lane.value,
            "X-Request-Timeout-Ms": str(round(self._timeout_s * 1000)),
            "X-Request-Id": call.request_id,
        }
        return connection.request(
            "POST",
            f"/v1/analyze?models={self._version}&vectors=true&top_k=0",
            read_s=self._timeout_s + NETWORK_S,
            headers=headers,
            body=json.dumps({"uri": call.item.uri}).encode() if encoded is None else encoded,
        )

    def _answered(self, ask: Callable[[], HttpReply], read: Callable[[HttpReply, ModelCard], Reply]) -> Reply:
        try:
            return read(ask(), self._card)
        except Unreachable as error:
            return Down(reason=str(error))
        except BrokenOff as error:
            return Unanswered(reason=str(error))
