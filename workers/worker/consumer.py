"""The loop of one worker: queue → model process → store → publish → ack, for one model version.

It decodes nothing and runs nothing. The way of an image that failed: `_classify` leaves a failure that may be
the host's undecided; `_decide_failures` waits until it is known whether the image or its host is at fault;
`FailurePolicy` makes a retry, a dead letter or a requeue of it; `Settlement` carries that out.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Self

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.interfaces import Catalogue, Delivery, ModelRunner, OutputStore, Queue
from panopticon.messages import Lane, MessageInvalid, decode_image_message
from panopticon.metrics import Metrics
from panopticon.results.originals import host_of, original_uri
from panopticon.results.outputs import Output, OutputKey, quantise
from panopticon.scheduling.breaker import Breaker
from panopticon.scheduling.items import Answer, NotRun, Ran
from panopticon.settings import Settings
from workers.runtime.parking import Parking
from workers.worker.failure_policy import FailurePolicy
from workers.worker.host_failures import Hosts
from workers.worker.in_flight import InFlight, LeasedImage, UndecidedFailure
from workers.worker.intake import IDLE_WAIT_S, Intake
from workers.worker.outcomes import Skipped, Stored, Unreadable, count_outcomes
from workers.worker.settlement import Settlement

log = logging.getLogger(__name__)

SETTLE_EVERY_S = 0.2
SETTLE_IMAGES = 64
"""Outcomes that are settled at once: a settlement costs several commits, whatever its size."""
RENEWALS_PER_LEASE = 3
REPORT_EVERY_S = 60.0
"""Time between two log lines about images that wait for their source."""
PROBE_ID = "probe"
"""The image that is looked up to see whether the store answers; it does not matter whether it is stored."""

NO_URI = "the message names no original, and the setting `originals` is empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """The settings that a consumer needs, each of the same name in `Settings`."""

    originals: str
    retry_delays_s: tuple[float, ...]
    dead_share: float
    breaker_failures: int
    lease_s: float
    park_max_s: float
    park_hold_s: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            originals=settings.originals,
            retry_delays_s=settings.retry_delays_s,
            dead_share=settings.dead_share,
            breaker_failures=settings.breaker_failures,
            lease_s=settings.lease_s,
            park_max_s=settings.park_max_s,
            park_hold_s=settings.park_hold_s,
        )


class Consumer:
    """The loop of one worker: collect answers, settle them, take more images. Used by one thread."""

    def __init__(
        self,
        *,
        card: ModelCard,
        settings: ConsumerSettings,
        queue: Queue,
        outputs: OutputStore,
        catalogue: Catalogue,
        settlement: Settlement,
        model: ModelRunner,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._card = card
        self._version = card.version_name
        self._settings = settings
        self._queue = queue
        self._outputs = outputs
        self._catalogue = catalogue
        self._settlement = settlement
        self._model = model
        self._metrics = metrics
        self._clock = clock
        self._in_flight = InFlight()
        self._intake = Intake()
        self._failures = FailurePolicy(
            retry_delays_s=settings.retry_delays_s, max_dead_share=settings.dead_share
        )
        # Without a retry delay an image cannot wait for its host, so no host is ever taken to be down.
        failures = settings.breaker_failures if settings.retry_delays_s else sys.maxsize
        breaker = Breaker(failures=failures, max_pause_s=settings.park_max_s, random=SystemRandom().random)
        self._hosts = Hosts(breaker, clock=clock)
        self._parking = Parking(max_s=settings.park_max_s, clock=clock, metrics=metrics)
        self._renewed_s = self._settled_s = self._report_again_s = clock()
        self._finished = 0

    @property
    def parked(self) -> Unavailable | None:
        """The reason why this worker is parked; None while it is not."""
        return self._parking.reason

    @property
    def finished(self) -> int:
        """The number of deliveries settled so far."""
        return self._finished

    @property
    def waiting_for_source(self) -> str:
        """The reason why images wait instead of failing, and how to go on; empty while none does."""
        return self._failures.waiting_for_source

    @property
    def in_flight(self) -> int:
        """The number of deliveries leased and not yet settled."""
        return len(self._in_flight)

    def turn(self, *, draining: bool = False) -> None:
        """Take answers, renew leases, settle, lease new images and give them to the model, in this order.

        Returns within about `IDLE_WAIT_S`. `draining`: lease nothing new.
        """
        self._take_answers()
        try:
            self._requeue_if_parked_for_long()
            self._renew_leases_if_due()
            if self._parking.waiting and not self._model_is_back():
                return
            self._settlement.check_policy()
            self._settle_if_due()
            if self._model.down is not None:
                # Only now, so that what it ran before is settled.
                raise self._model.down
            if not draining:
                self._receive()
            self._give_to_model()
            if self._intake.is_over(in_flight=self.in_flight):
                self._intake.resume()
                if not self._failures.source_failing:
                    self._parking.resume()
        except Unavailable as error:
            self._park(error)

    def drain(self, *, timeout_s: float) -> None:
        """Finish what is in flight. Requeue what is not finished in time, or everything while parked."""
        deadline_s = self._clock() + timeout_s
        while self.in_flight and self._clock() < deadline_s and self.parked is None:
            self.turn(draining=True)
        try:
            self._queue.requeue(self._release())
            self._settle()
        except Unavailable as error:
            log.warning("%s; what is in flight comes again when its lease lapses", error)

    def _take_answers(self) -> None:
        wait_s = self._intake.wait_s(
            parked=self._parking.waiting,
            ready=self._model.hello is not None,
            at_model=len(self._in_flight.at_model),
            now_s=self._clock(),
        )
        for answer in self._model.poll(wait_s=wait_s):
            self._classify(self._in_flight.at_model.pop(answer.item.id), answer)
        if self._in_flight.undecided:
            self._decide_failures()

    def _classify(self, image: LeasedImage, answer: Answer) -> None:
        match answer:
            case Ran():
                self._hosts.answered(image.host)
                self._accept(image, answer)
            case NotRun(error=Rejected() as error):
                self._hosts.answered(image.host)
                self._fail(image, error)
            case NotRun(error=Transient() as error) if self._failures.guard_tripped:
                # The source is at fault, so this says nothing about the image or its host.
                self._hosts.abandoned(image.host)
                self._fail(image, error)
            case NotRun(error=Transient() as error):
                self._hosts.failed(image.host, image.key.image_id, error)
                self._in_flight.undecided.append(UndecidedFailure(image=image, error=error))
            case NotRun(error=Unavailable() as error):
                self._source_failed(image, error)
                return
        if not self._parking.waiting:
            self._intake.source_answered()

    def _accept(self, image: LeasedImage, ran: Ran) -> None:
        try:
            vector = quantise(ran.vector, self._card.output.dtype)
        except Rejected as error:
            self._fail(image, error)
            return
        output = Output(
            key=image.key,
            vector=vector,
            digest=self._card.digest,
            engine=ran.engine,
            libraries=ran.libraries,
            source_sha256=ran.source_sha256,
            width_px=ran.width_px,
            height_px=ran.height_px,
            produced_at_ms=int(time.time() * 1000),
        )
        stored = Stored(delivery=image.delivery, message=image.message, output=output)
        self._in_flight.outcomes.append(stored)
        self._failures.fetched()

    def _fail(self, image: LeasedImage, error: Rejected | Transient) -> None:
        at_ms = int(time.time() * 1000)
        self._in_flight.outcomes.append(self._failures.outcome(image, error, at_ms=at_ms))
        self._report_waiting()
        if (reason := self._failures.take_pause()) is not None:
            self._park(reason)

    def _report_waiting(self) -> None:
        """Log that images wait for their source, once in a while."""
        now_s = self._clock()
        if now_s >= self._report_again_s and self.waiting_for_source:
            log.warning("images wait and are not failed: %s", self.waiting_for_source)
            self._report_again_s = now_s + REPORT_EVERY_S

    def _source_failed(self, image: LeasedImage, error: Unavailable) -> None:
        """The source is down: this image waits, and earlier failures of its host are not the fault of an
        image."""
        self._hosts.abandoned(image.host)
        undecided = self._in_flight.take_undecided(lambda host: host == image.host)
        self._in_flight.waiting += [image, *(failure.image for failure in undecided)]
        self._intake.source_failed()
        self._park(error)

    def _decide_failures(self) -> None:
        busy = self._in_flight.hosts_at_model
        for failure in self._in_flight.take_undecided(lambda host: self._hosts.is_decided(host, busy=busy)):
            if self._hosts.is_down(failure.image.host):
                self._in_flight.outcomes.append(self._failures.host_down(failure.image))
            else:
                self._fail(failure.image, failure.error)

    def _requeue_if_parked_for_long(self) -> None:
        """Once an outage, let other workers take what this one holds; what was not settled is run again."""
        # A model that is up is waited for, so that an image which hangs there is noticed.
        if self._in_flight.at_model and self._model.down is None:
            return
        if not self._parking.report_long_outage_once(self._settings.park_hold_s):
            return
        self._intake.probe()
        deliveries = [*self._release(), *(outcome.delivery for outcome in self._in_flight.outcomes)]
        self._in_flight.outcomes.clear()
        log.warning("parked for %g s: requeued what was held", self._settings.park_hold_s)
        self._queue.requeue(deliveries)
        self._queue.release_prefetched()

    def _release(self) -> list[Delivery]:
        """Drop every image without an outcome, and return the deliveries."""
        for host in self._in_flight.hosts_at_model:
            self._hosts.abandoned(host)
        self._model.release()
        return self._in_flight.release()

    def _renew_leases_if_due(self) -> None:
        parked = self._parking.reason
        # A queue that is down is tried again once the pause is over, and not at every turn.
        if self._parking.waiting and parked is not None and parked.component == "queue":
            return
        now_s = self._clock()
        if now_s - self._renewed_s >= self._settings.lease_s / RENEWALS_PER_LEASE:
            self._queue.renew(self._in_flight.deliveries())
            self._renewed_s = now_s

    def _model_is_back(self) -> bool:
        """A model reports by itself that it is up; other components are tried once the pause is over."""
        reason = self._parking.reason
        return reason is not None and reason.component == "model" and self._model.down is None

    def _park(self, reason: Unavailable) -> None:
        self._intake.parked()
        self._parking.park(reason)

    def _settle_if_due(self) -> None:
        """While the model is busy, outcomes wait a moment for more: each settlement costs several commits."""
        waited_s = self._clock() - self._settled_s
        is_full = len(self._in_flight.outcomes) >= SETTLE_IMAGES
        if not self._in_flight.at_model or is_full or waited_s >= SETTLE_EVERY_S:
            self._settle()

    def _settle(self) -> None:
        self._settled_s = self._clock()
        outcomes = self._in_flight.outcomes
        if not outcomes:
            return
        self._settlement.settle(outcomes)
        count_outcomes(outcomes, self._metrics, model=str(self._version))
        self._finished += len(outcomes)
        outcomes.clear()
        if self._model.down is None:
            self._intake.got_through()

    def _receive(self) -> None:
        """Lease as many messages as there is room for."""
        unfinished = len(self._in_flight.waiting) + len(self._in_flight.at_model)
        room = self._intake.room(
            credit=self._model.credit,
            best_batch=self._model.best_batch,
            unfinished=unfinished,
            in_flight=self.in_flight,
            now_s=self._clock(),
        )
        if not room.live:
            return
        if self.parked is not None:
            # Without a store to put it in, nothing should be leased.
            self._outputs.get([PROBE_ID], self._version)
        wait_s = 0.0 if unfinished else IDLE_WAIT_S
        deliveries = self._queue.receive(max_live=room.live, max_backfill=room.backfill, wait_s=wait_s)
        self._intake.received(len(deliveries), best_batch=self._model.best_batch)
        for delivery in deliveries:
            self._open(delivery)

    def _open(self, delivery: Delivery) -> None:
        try:
            message = decode_image_message(delivery.body)
        except MessageInvalid as error:
            self._in_flight.outcomes.append(Unreadable(delivery=delivery, detail=str(error)))
            return
        if message.event == "deleted":
            self._in_flight.outcomes.append(Skipped(delivery=delivery))
            return
        key = OutputKey(
            image_id=message.image_id,
            model=self._card.name,
            version=self._card.version,
            revision=message.revision,
        )
        uri = original_uri(message, self._settings.originals)
        self._in_flight.waiting.append(
            LeasedImage(delivery=delivery, message=message, key=key, uri=uri, host=host_of(uri))
        )

    def _give_to_model(self) -> None:
        """Give the model the images that wait for it, except those that need no run or cannot be fetched."""
        in_flight = self._in_flight
        limit = self._intake.next_images(waiting=len(in_flight.waiting), at_model=len(in_flight.at_model))
        images = in_flight.waiting[:limit]
        # Raises Unavailable while the store is down; the images are still waiting then.
        stored, deleted = self._stored_before(images), self._deleted_since(images)
        del in_flight.waiting[:limit]
        is_host_down = False
        for image in images:
            output = stored.get(image.key)
            if image.key in deleted:
                in_flight.outcomes.append(Skipped(delivery=image.delivery))
            elif output is not None and output.digest == self._card.digest:
                in_flight.outcomes.append(
                    Stored(delivery=image.delivery, message=image.message, output=output, already=True)
                )
            elif not image.uri:
                self._fail(image, Rejected("no_uri", NO_URI))
            elif self._hosts.admits(image.host):
                item = self._model.add(image.delivery.lane, uri=image.uri)
                in_flight.at_model[item.id] = image
            else:
                in_flight.outcomes.append(self._failures.host_down(image))
                is_host_down = True
        if is_host_down and not in_flight.at_model:
            self._intake.pause(now_s=self._clock())

    def _stored_before(self, images: Sequence[LeasedImage]) -> dict[OutputKey, Output]:
        """Return the outputs of those images that another delivery may have brought."""
        ids = [
            image.key.image_id
            for image in images
            if image.delivery.redelivered or image.delivery.attempt or image.delivery.lane is Lane.BACKFILL
        ]
        return self._outputs.get(ids, self._version) if ids else {}

    def _deleted_since(self, images: Sequence[LeasedImage]) -> set[OutputKey]:
        """Return those that were deleted or erased while their messages waited on a retry delay."""
        keys = [image.key for image in images if image.delivery.redelivered or image.delivery.attempt]
        rows = self._catalogue.get([key.image_id for key in keys]) if keys else {}
        return {
            key
            for key in keys
            if (row := rows.get(key.image_id)) and row.deleted and row.revision >= key.revision
        }
