"""Queue → model process → store → publish → ack, for one model version. Decodes nothing and runs nothing."""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.interfaces import Delivery, OutputStore, Queue
from panopticon.messages import ImageMessage, Lane, MessageInvalid, decode_image_message
from panopticon.metrics import Metrics
from panopticon.results.originals import host_of, original_uri
from panopticon.results.outputs import Failure, FailureState, Output, OutputKey, quantise
from panopticon.scheduling.breaker import Breaker
from panopticon.scheduling.dispatch import MAX_KILLERS_IN_A_ROW
from panopticon.scheduling.guard import WINDOW, DeadGuard
from panopticon.settings import Settings
from workers.model_process.client import Answer, ModelClient, Ran
from workers.runtime.parking import Parking
from workers.worker.host_failures import Hosts
from workers.worker.outcomes import Dead, Outcome, Requeued, Retried, Skipped, Stored, Unreadable
from workers.worker.settlement import Settlement

log = logging.getLogger(__name__)

IDLE_WAIT_S = 0.25
BUSY_WAIT_S = 0.02
PARKED_WAIT_S = 0.1
SETTLE_EVERY_S = 0.2
SETTLE_IMAGES = 64
"""A settlement costs several commits, whatever is in it."""
RENEWALS_PER_LEASE = 3
PROBE_ID = "probe"
"""Looked up to see whether the store is there; whether anything is kept of it is the same."""
PUT_OFF_PAUSE_S = 0.1
"""After nothing was taken but images whose hosts are down: there may be no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One delivery whose image is to be run."""

    delivery: Delivery
    message: ImageMessage


class Consumer:
    """One turn after another: collect answers, settle them, take more. Used by one thread."""

    def __init__(
        self,
        *,
        card: ModelCard,
        settings: Settings,
        queue: Queue,
        outputs: OutputStore,
        settlement: Settlement,
        model: ModelClient,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._card = card
        self._settings = settings
        self._queue = queue
        self._outputs = outputs
        self._settlement = settlement
        self._model = model
        self._metrics = metrics
        self._clock = clock
        self._parking = Parking(max_s=settings.park_max_s, clock=clock, metrics=metrics)
        self._guard = DeadGuard(max_share=settings.dead_share)
        self._hosts: Hosts[Work] = Hosts(_breaker(settings), clock=clock)
        self._take_not_before_s = 0.0
        self._at_work: dict[int, Work] = {}
        self._waiting: list[Work] = []
        self._source_is_down = False
        self._only_probes = False
        self._probe_images = 1
        self._got_through = False
        self._outcomes: list[Outcome] = []
        self._renewed_s = self._settled_s = clock()

    @property
    def parked(self) -> Unavailable | None:
        return self._parking.reason

    @property
    def in_flight(self) -> int:
        """Deliveries taken and not yet settled."""
        return len(self._works) + len(self._outcomes)

    @property
    def _works(self) -> list[Work]:
        """What has no outcome yet."""
        return [*self._at_work.values(), *self._waiting, *self._hosts.pending_works]

    def turn(self, *, draining: bool = False) -> None:
        """One step of everything; returns within about `IDLE_WAIT_S`."""
        self._take_answers(self._model.poll(wait_s=self._wait_s()))
        try:
            if self._holds_for_too_long():
                self._requeue_everything()
            self._renew_leases()
            if self._parking.waiting and not self._model_is_back():
                return
            self._settlement.check_policy()
            self._settle_if_worth_it()
            if self._model.down is not None:
                raise self._model.down
            self._start_waiting()
            if not draining:
                self._take()
            if self._is_back():
                self._parking.resume()
                self._only_probes = False
        except Unavailable as error:
            self._park(error)

    def drain(self, *, timeout_s: float) -> None:
        """Finish what is in hand; give back what is not finished in time, or at once while parked."""
        deadline_s = self._clock() + timeout_s
        while self.in_flight and self._clock() < deadline_s and self._parking.reason is None:
            self.turn(draining=True)
        try:
            self._queue.requeue(self._let_go())
            self._settle()
        except Unavailable as error:
            log.warning("%s; what is in hand comes again when its lease has lapsed", error)

    def _wait_s(self) -> float:
        if self._parking.waiting:
            return PARKED_WAIT_S
        if self._model.hello is None:
            return IDLE_WAIT_S
        paused = self._clock() < self._take_not_before_s
        return BUSY_WAIT_S if self._at_work or paused else 0.0

    def _model_is_back(self) -> bool:
        """A model says so itself; any other part is tried when the pause is over."""
        reason = self._parking.reason
        return reason is not None and reason.component == "model" and self._model.down is None

    def _is_back(self) -> bool:
        """Nothing is known to be down, and something got through, unless there is nothing to try it with."""
        is_known = self._guard.tripped or self._source_is_down
        return not is_known and (self._got_through or not self.in_flight)

    def _park(self, reason: Unavailable) -> None:
        self._got_through = False
        self._parking.park(reason)

    def _holds_for_too_long(self) -> bool:
        """What a sound model process is at work on is waited for: so an image that hangs there is seen."""
        at_work = self._at_work and self._model.down is None
        return not at_work and self._parking.turned_long(self._settings.park_hold_s)

    def _requeue_everything(self) -> None:
        """Once, for others to take. What was not settled comes about again."""
        deliveries = [*self._let_go(), *(outcome.delivery for outcome in self._outcomes)]
        self._outcomes.clear()
        self._only_probes, self._probe_images = True, self._first_probes
        log.warning("parked for %g s: requeued what was held", self._settings.park_hold_s)
        self._queue.requeue(deliveries)
        self._queue.release_prefetched()

    def _let_go(self) -> list[Delivery]:
        """What has no outcome yet, out of hand from now on."""
        unfinished = [work.delivery for work in self._works]
        for work in self._at_work.values():
            self._hosts.undecided(host_of(self._uri(work.message)))
        self._model.give_up()
        self._hosts.give_up()
        self._at_work.clear()
        self._waiting.clear()
        return unfinished

    @property
    def _first_probes(self) -> int:
        """One, but of a model that is down: it takes several different images to tell it from a bad image."""
        reason = self._parking.reason
        return MAX_KILLERS_IN_A_ROW if reason is not None and reason.component == "model" else 1

    def _renew_leases(self) -> None:
        now_s = self._clock()
        if now_s - self._renewed_s < self._settings.lease_s / RENEWALS_PER_LEASE:
            return
        held = [*self._works, *self._outcomes]
        self._queue.renew([holder.delivery for holder in held])
        self._renewed_s = now_s

    def _settle_if_worth_it(self) -> None:
        """A few outcomes wait a moment for more: each settlement costs several commits."""
        waited_s = self._clock() - self._settled_s
        if not self._at_work or len(self._outcomes) >= SETTLE_IMAGES or waited_s >= SETTLE_EVERY_S:
            self._settle()

    def _settle(self) -> None:
        self._settled_s = self._clock()
        if self._outcomes:
            self._settlement.settle(self._outcomes)
            self._count(self._outcomes)
            self._outcomes.clear()
            self._got_through = self._model.down is None

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        model = str(self._card.version_name)
        for outcome in outcomes:
            match outcome:
                case Stored(already=True):
                    self._metrics.count("panopticon_images_republished_total", model=model)
                case Stored():
                    lane = outcome.delivery.lane.value
                    self._metrics.count("panopticon_images_stored_total", model=model, lane=lane)
                case Dead():
                    reason = outcome.failure.reason
                    self._metrics.count("panopticon_images_dead_total", model=model, reason=reason)
                case Retried():
                    self._metrics.count("panopticon_images_retried_total", model=model, reason=outcome.reason)

    def _start_waiting(self) -> None:
        """Hand over what waits; while the source is down one image at a time, to see whether it is back."""
        if self._source_is_down and self._at_work:
            return
        works = self._waiting[:1] if self._source_is_down else self._waiting
        unstored = self._without_stored(works)
        self._waiting = self._waiting[len(works) :]
        for work in unstored:
            self._hand_over(work)

    def _take(self) -> None:
        max_live, max_backfill = self._room()
        if not max_live or (self._at_work and max_live < self._model.best_batch):
            return
        if self._clock() < self._take_not_before_s:
            return
        if self._parking.reason is not None:
            self._outputs.get([PROBE_ID], self._card.version_name)
        wait_s = 0.0 if self._at_work else IDLE_WAIT_S
        deliveries = self._queue.receive(max_live=max_live, max_backfill=max_backfill, wait_s=wait_s)
        self._waiting += [work for delivery in deliveries if (work := self._opened(delivery))]
        self._start_waiting()
        if not self._at_work and any(isinstance(outcome, Retried) for outcome in self._outcomes):
            self._take_not_before_s = self._clock() + PUT_OFF_PAUSE_S

    def _room(self) -> tuple[int, int]:
        """Places for either lane; backfill leaves a batch of them free for live images."""
        if self._guard.tripped or self._source_is_down or self._only_probes:
            return self._room_for_probes()
        room = max(self._model.credit - len(self._at_work), 0)
        return room, max(room - self._model.best_batch, 0)

    def _room_for_probes(self) -> tuple[int, int]:
        """More after each failure: the first in line may be bad itself, and comes first again."""
        if self.in_flight or not self._model.best_batch:
            return 0, 0
        images, self._probe_images = self._probe_images, min(2 * self._probe_images, self._model.best_batch)
        return images, images

    def _opened(self, delivery: Delivery) -> Work | None:
        try:
            message = decode_image_message(delivery.body)
        except MessageInvalid as error:
            self._outcomes.append(Unreadable(delivery=delivery, detail=str(error)))
            return None
        if message.event == "deleted":
            self._outcomes.append(Skipped(delivery=delivery))
            return None
        return Work(delivery=delivery, message=message)

    def _without_stored(self, works: Sequence[Work]) -> list[Work]:
        """The works whose output is not in the store; only what may have been seen before is looked up."""
        doubtful = [work for work in works if _seen_before(work.delivery)]
        ids = [work.message.image_id for work in doubtful]
        stored = self._outputs.get(ids, self._card.version_name) if ids else {}
        return [work for work in works if not self._settled_from(stored, work)]

    def _settled_from(self, stored: dict[OutputKey, Output], work: Work) -> bool:
        output = stored.get(self._key(work.message))
        if output is None or output.digest != self._card.digest:
            return False
        outcome = Stored(delivery=work.delivery, message=work.message, output=output, already=True)
        self._outcomes.append(outcome)
        return True

    def _hand_over(self, work: Work) -> None:
        message = work.message
        uri = self._uri(message)
        if not uri:
            self._refuse(
                work, Rejected("no_uri", "the message has none, and the setting `originals` is empty")
            )
            return
        if not self._hosts.admits(host_of(uri)):
            self._wait_for_host(work)
            return
        self._at_work[self._model.add(uri, work.delivery.lane).id] = work

    def _take_answers(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            work, host = self._at_work.pop(answer.item.id), host_of(answer.item.uri)
            try:
                self._accept(work, answer)
                self._hosts.answered(host)
            except Rejected as error:
                self._hosts.answered(host)
                self._refuse(work, error)
            except Transient as error:
                self._decide_later(work, host, error)
            except Unavailable as error:
                self._waiting += [work, *self._hosts.undecided(host)]
                self._source_is_down = True
                self._park(error)
                continue
            if not self._parking.waiting:
                self._source_is_down = False
        if self._hosts.pending_works:
            self._decide_pending()

    def _decide_later(self, work: Work, host: str, error: Transient) -> None:
        """The image is at fault or its host, which is not known yet; while the guard probes, neither is."""
        if self._guard.tripped:
            self._refuse(work, error)
        else:
            self._hosts.failed(host, work.message.image_id, work, error)

    def _decide_pending(self) -> None:
        busy = {host_of(self._uri(work.message)) for work in self._at_work.values()}
        decide = self._hosts.decide(busy)
        for doubt in decide.image_at_fault:
            self._put_off(doubt.work, doubt.error)
        for doubt in decide.host_at_fault:
            self._wait_for_host(doubt.work)

    def _wait_for_host(self, work: Work) -> None:
        delay_s = self._settings.retry_delays_s[0]
        self._outcomes.append(
            Retried(delivery=work.delivery, delay_s=delay_s, reason="host_down", spend_attempt=False)
        )

    def _accept(self, work: Work, answer: Answer) -> None:
        if not isinstance(answer, Ran):
            raise answer.error
        output = self._output(work.message, answer)
        self._outcomes.append(Stored(delivery=work.delivery, message=work.message, output=output))
        if self._guard.tripped:
            self._guard.reset()
            self._probe_images = 1
        self._guard.record(dead=False)

    def _refuse(self, work: Work, error: Rejected | Transient) -> None:
        if self._guard.tripped:
            self._outcomes.append(self._put_back(work))
        else:
            failure = self._failure(work, error)
            self._outcomes.append(Dead(delivery=work.delivery, message=work.message, failure=failure))
            self._guard.record(dead=True)
        if self._guard.tripped:
            reason = f"too many of the last {WINDOW} images were dead, the latest by {error.reason!r}"
            self._park(Unavailable("source", reason))

    def _put_back(self, work: Work) -> Outcome:
        """Not condemned. By way of a retry delay where there is one: a broker counts what is only requeued,
        and gives up such a message in the end."""
        delays_s = self._settings.retry_delays_s
        if not delays_s:
            return Requeued(delivery=work.delivery)
        return Retried(delivery=work.delivery, delay_s=delays_s[0], reason="probe", spend_attempt=False)

    def _put_off(self, work: Work, error: Transient) -> None:
        delays_s = self._settings.retry_delays_s
        if self._guard.tripped or work.delivery.attempt >= len(delays_s):
            self._refuse(work, error)
            return
        delay_s = delays_s[work.delivery.attempt]
        self._outcomes.append(Retried(delivery=work.delivery, delay_s=delay_s, reason=error.reason))

    def _uri(self, message: ImageMessage) -> str:
        return original_uri(message, self._settings.originals)

    def _key(self, message: ImageMessage) -> OutputKey:
        return OutputKey(
            image_id=message.image_id,
            model=self._card.name,
            version=self._card.version,
            revision=message.revision,
        )

    def _output(self, message: ImageMessage, ran: Ran) -> Output:
        return Output(
            key=self._key(message),
            vector=quantise(ran.vector, self._card.output.dtype),
            digest=self._card.digest,
            engine=ran.engine,
            libraries=ran.libraries,
            source_sha256=ran.source_sha256,
            width_px=ran.width_px,
            height_px=ran.height_px,
            produced_at_ms=_now_ms(),
        )

    def _failure(self, work: Work, error: Rejected | Transient) -> Failure:
        return Failure(
            key=self._key(work.message),
            state=FailureState.DEAD,
            reason=error.reason,
            detail=error.detail,
            attempts=work.delivery.attempt,
            last_at_ms=_now_ms(),
            message=work.delivery.body,
        )


def _breaker(settings: Settings) -> Breaker:
    """Without a retry delay there is nowhere to wait, so that no host is ever down."""
    failures = settings.breaker_failures if settings.retry_delays_s else sys.maxsize
    return Breaker(failures=failures, max_pause_s=settings.park_max_s, random=random.random)


def _seen_before(delivery: Delivery) -> bool:
    return delivery.redelivered or delivery.attempt > 0 or delivery.lane is Lane.BACKFILL


def _now_ms() -> int:
    return int(time.time() * 1000)
