"""A ModelRunner whose model runs in a remote service: every image is one request.

An image without an answer stays here and is sent again, and spends no attempt: after a refusal (429) once the
service has room, after an outage once the service is back. `suspects.py` has the one exception.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from functools import partial
from random import SystemRandom

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Unavailable
from panopticon.messages import Lane
from panopticon.models.golden_files import control_picture
from panopticon.scheduling.backoff import Backoff
from panopticon.scheduling.items import Answer, Hello, Item, NotRun, Ran
from panopticon.settings import Settings
from workers.remote_model.address import Address
from workers.remote_model.callers import Callers
from workers.remote_model.connection import Connection
from workers.remote_model.replies import Analysed, Description, Down, Full, Loading, Refused, Unanswered, Up
from workers.remote_model.requests import Analyze, Call, Describe, Reply, Requests
from workers.remote_model.sending import Outbox, Window
from workers.remote_model.service_state import ServiceState
from workers.remote_model.suspects import CONTROL_ID, Suspects

log = logging.getLogger(__name__)

BATCHES_UNDER_WAY = 3
LEAST_WINDOW = 8
GATE_SHARE = 2
"""One worker takes half of the gate at most, so that those who call the service themselves find room."""
MOST_REQUESTS = 128
MOST_WITH_BYTES = 16
"""Requests under way at once if each holds the bytes of an original, which this process has in memory."""
FIRST_PAUSE_S = 0.2
JITTER = 0.25
"""Share of a wait that is added at random, so that the workers of a fleet do not all come back at once."""
REPORT_EVERY_S = 60.0
SHORTEST_WAIT_S = 0.005
CLOSING_S = 2.0


class RemoteRunner:
    """A ModelRunner over HTTP. Used by one thread; threads of its own wait for the service."""

    def __init__(
        self, card: ModelCard, settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Connect to nothing yet. Raises: UsageError for a setting that cannot be used."""
        self._card = card
        self._clock = clock
        address = Address.parse(settings.espresso)
        fetches = settings.espresso_send == "bytes"
        self._max_bytes = settings.max_request_bytes
        self._most = MOST_WITH_BYTES if fetches else MOST_REQUESTS
        self._callers: Callers[Call, Reply] = Callers(
            Requests(card, settings, fetches=fetches).perform,
            connect=partial(Connection, address, connect_s=settings.request_timeout_s),
        )
        self._random = SystemRandom().random
        self._service = ServiceState(str(address), max_pause_s=settings.park_max_s, random=self._random)
        self._pauses = Backoff(first_s=FIRST_PAUSE_S, max_s=settings.park_max_s, random=self._random)
        self._suspects = Suspects(partial(control_picture, card))
        self._outbox = Outbox()
        self._window = Window()
        self._ids = itertools.count(CONTROL_ID + 1)
        self._name = f"{SystemRandom().getrandbits(48):012x}"
        self._under_way: dict[int, Analyze] = {}
        self._fetched: dict[int, bytes] = {}
        self._report_at_s = 0.0
        self.best_batch = 0
        """Images that the service runs best at once; 0 before the first hello."""

    @property
    def hello(self) -> Hello | None:
        """None while the service does not run the model, or has not been asked."""
        return self._service.hello

    @property
    def down(self) -> Unavailable | None:
        """The reason why the service cannot run the model at present; None while it can."""
        return self._service.down

    @property
    def credit(self) -> int:
        """The number of items that it may hold: those under way, and a batch that waits; 0 at first."""
        return self._window.size + self.best_batch if self.best_batch else 0

    def add(self, lane: Lane, *, uri: str = "", encoded: bytes | None = None) -> Item:
        """Accept one image to run: `encoded`, or the original at `uri`. Its answer comes from `poll`.

        Raises: Rejected (too_many_bytes) if `encoded` is more than a request may have.
        """
        if encoded is not None and len(encoded) > self._max_bytes:
            raise Rejected("too_many_bytes", f"{len(encoded)} bytes; at most {self._max_bytes}")
        item = Item(id=next(self._ids), lane=lane, uri=uri, encoded=encoded)
        self._outbox.add(item)
        return item

    def poll(self, *, wait_s: float) -> list[Answer]:
        """Send what may be sent, and return new answers, waiting up to `wait_s` for the first."""
        deadline_s = self._clock() + wait_s
        answers: list[Answer] = []
        while True:
            timer_s = self._ask_if_due()
            self._send()
            left_s = deadline_s - self._clock()
            for call, reply in self._callers.replies(wait_s=min(left_s, timer_s)):
                answers += self._handle(call, reply)
            if answers or left_s <= 0:
                self._send()
                return answers

    def release(self) -> list[Item]:
        """Drop every item that has no answer yet, and return them. Their requests are broken off."""
        items = [call.item for call in self._under_way.values() if call.item.id != CONTROL_ID]
        items += [*self._suspects.clear(), *self._outbox.clear()]
        self._under_way.clear()
        self._fetched.clear()
        self._callers.abandon()
        return items

    def close(self) -> None:
        """Break off all requests and end the threads, in a few seconds at most."""
        self._callers.close(timeout_s=CLOSING_S)

    def _ask_if_due(self) -> float:
        """Ask the service for its state if it is time, and return the time until there is more to do."""
        now_s = self._clock()
        ask_in_s = self._service.ask_in_s(now_s=now_s)
        if ask_in_s == 0:
            self._service.asked()
            self._callers.call(Describe())
            ask_in_s = None
        timers = [timer for timer in (ask_in_s, self._outbox.pause_left_s(now_s=now_s)) if timer is not None]
        return max(min(timers, default=REPORT_EVERY_S), SHORTEST_WAIT_S)

    def _send(self) -> None:
        if self.hello is None or self.down is not None:
            return
        now_s = self._clock()
        lane = self._suspects.next_lane
        if lane is not None:
            if not self._under_way and not self._outbox.is_paused(lane, now_s=now_s):
                self._call(self._suspects.take(), now_s)
            return
        is_alone = any(self._suspects.is_alone(call.item) for call in self._under_way.values())
        while not is_alone and len(self._under_way) < self._window.size:
            item = self._outbox.take(now_s=now_s)
            if item is None:
                return
            self._call(item, now_s)

    def _call(self, item: Item, now_s: float) -> None:
        call = Analyze(
            item=item,
            request_id=f"{self._name}-{item.id}",
            sent_s=now_s,
            encoded=self._fetched.pop(item.id, item.encoded),
        )
        self._under_way[item.id] = call
        self._callers.call(call)

    def _handle(self, call: Call, reply: Reply) -> list[Answer]:
        now_s = self._clock()
        if isinstance(call, Describe):
            if isinstance(reply, Up | Loading | Down):
                self._described(reply, now_s)
            return []
        # One that was released is not answered.
        if self._under_way.get(call.item.id) is not call:
            return []
        del self._under_way[call.item.id]
        match reply:
            case Analysed() | Refused():
                return self._answered(call.item, reply, now_s)
            case Full():
                self._full(call, reply, now_s)
            case Unanswered() if self.down is None:
                return self._unanswered(call.item, reply.reason, now_s)
            case Unanswered():
                # The outage explains it.
                self._wait_again(self._suspects.not_taken(call.item))
            case Down():
                self._wait_again(self._suspects.not_taken(call.item))
                self._service.failed_for_good(reply.reason, now_s=now_s)
        return []

    def _described(self, description: Description, now_s: float) -> None:
        was_up = self.hello is not None
        self._service.described(description, now_s=now_s)
        if isinstance(description, Up):
            self.best_batch = description.hello.best_batch
            batches = BATCHES_UNDER_WAY * description.hello.best_batch * description.replicas
            share = max(description.gate // GATE_SHARE, 1)
            self._window.open(min(max(batches, LEAST_WINDOW), share, self._most))
            if not was_up:
                log.info("%s runs at the service", self._card.version_name)
        elif isinstance(description, Down):
            # Their answers would come over connections that may be dead.
            self._callers.abandon()

    def _answered(self, item: Item, reply: Analysed | Refused, now_s: float) -> list[Answer]:
        self._service.got_through(now_s=now_s)
        self._window.answered()
        self._pauses.reset()
        self._suspects.answered(item)
        if item.id == CONTROL_ID:
            return []
        if isinstance(reply, Refused):
            return [NotRun(item=item, error=reply.error)]
        return [
            Ran(
                item=item,
                vector=reply.vector,
                engine=reply.engine,
                libraries=reply.libraries,
                source_sha256=reply.source_sha256,
                width_px=reply.width_px,
                height_px=reply.height_px,
            )
        ]

    def _full(self, call: Analyze, reply: Full, now_s: float) -> None:
        self._service.got_through(now_s=now_s)
        self._window.refused(sent_s=call.sent_s, now_s=now_s)
        wait_s = reply.wait_s * (1 + JITTER * self._random())
        self._outbox.pause(call.item.lane, until_s=now_s + wait_s)
        if reply.encoded is not None and call.item.id != CONTROL_ID:
            self._fetched[call.item.id] = reply.encoded
        self._wait_again(self._suspects.not_taken(call.item))
        if now_s >= self._report_at_s:
            log.info("the service has no room (429): %d images at a time", self._window.size)
            self._report_at_s = now_s + REPORT_EVERY_S

    def _unanswered(self, item: Item, reason: str, now_s: float) -> list[Answer]:
        is_alone = self._suspects.is_alone(item)
        outcome = self._suspects.unanswered(item, reason)
        # If it was alone, the control shows next whether the image or the service is at fault.
        if not is_alone or item.id == CONTROL_ID:
            self._service.unanswered(reason, now_s=now_s)
            self._outbox.pause(Lane.LIVE, until_s=now_s + self._pauses.next_s())
        if isinstance(outcome, NotRun):
            return [outcome]
        self._wait_again(outcome)
        return []

    def _wait_again(self, item: Item | None) -> None:
        if item is not None:
            self._outbox.put_back(item)
