"""Store, publish, then ack: the one order in which the outcomes of deliveries are made permanent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from panopticon.interfaces import OutputStore, Queue
from panopticon.messages import FailedPublished, Lane, encode
from panopticon.results.outputs import Failure, FailureState, VersionName
from panopticon.results.undeliverable import BAD_MESSAGE, encode_envelope
from workers.registry.policy_cache import ResolvedPolicy, result_message
from workers.worker.outcomes import Dead, Outcome, Requeued, Retried, Stored, Unreadable


class Settlement:
    """Stores outcomes, publishes them with a confirm, then acks. Any step may fail; all may be repeated."""

    def __init__(
        self,
        *,
        version: VersionName,
        policy: Callable[[], ResolvedPolicy],
        queue: Queue,
        outputs: OutputStore,
        results: Queue,
        undeliverable: Queue,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`policy` returns the current policy at each call, or raises Unavailable.

        `clock` returns the time of day in seconds.
        """
        self._version = version
        self._policy = policy
        self._queue = queue
        self._outputs = outputs
        self._results = results
        self._undeliverable = undeliverable
        self._clock = clock

    def check_policy(self) -> None:
        """Raise Unavailable while it is not known which policy results are published by."""
        self._policy()

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Make outcomes permanent, and finish their deliveries.

        Raises: Unavailable; nothing is lost then, and the same outcomes may be settled again.
        """
        outputs = [o.output for o in outcomes if isinstance(o, Stored) and not o.already]
        failures = [o.failure for o in outcomes if isinstance(o, Dead)]
        failures += [self._record(o) for o in outcomes if isinstance(o, Retried)]
        if outputs:
            self._outputs.put(outputs)
        if failures:
            self._outputs.put_failures(failures)
        for lane in Lane:
            self._publish(outcomes, lane)
        envelopes = [
            encode_envelope(o.delivery.body, version=self._version, reason=BAD_MESSAGE, detail=o.detail)
            for o in outcomes
            if isinstance(o, Unreadable)
        ]
        if envelopes:
            self._undeliverable.submit(envelopes, Lane.LIVE)
        requeued = [o.delivery for o in outcomes if isinstance(o, Requeued)]
        if requeued:
            self._queue.requeue(requeued)
        for outcome in outcomes:
            if isinstance(outcome, Retried):
                self._queue.retry(
                    outcome.delivery, delay_s=outcome.delay_s, spend_attempt=outcome.spend_attempt
                )
        self._queue.ack([o.delivery for o in outcomes if not isinstance(o, Retried | Requeued)])

    def _record(self, retried: Retried) -> Failure:
        """Return the record of a retry delay that begins now."""
        now_ms = int(self._clock() * 1000)
        message, delivery = retried.message, retried.delivery
        return Failure(
            key=self._version.key(message.image_id, message.revision),
            state=FailureState.RETRYING,
            reason=retried.reason,
            detail=retried.detail,
            attempts=delivery.attempt + retried.spend_attempt,
            last_at_ms=now_ms,
            message=delivery.body,
            retry_at_ms=now_ms + round(retried.delay_s * 1000),
        )

    def _publish(self, outcomes: Sequence[Outcome], lane: Lane) -> None:
        policy = self._policy()
        bodies = [
            self._body(outcome, policy)
            for outcome in outcomes
            if isinstance(outcome, Stored | Dead) and outcome.delivery.lane is lane
        ]
        if bodies:
            self._results.submit(bodies, lane)

    def _body(self, outcome: Stored | Dead, policy: ResolvedPolicy) -> bytes:
        if isinstance(outcome, Stored):
            return encode(result_message(outcome.output, policy, occurred_at=outcome.message.occurred_at))
        failed = FailedPublished(
            image_id=outcome.failure.key.image_id,
            revision=outcome.failure.key.revision,
            occurred_at=outcome.message.occurred_at,
            model=self._version.model,
            version=self._version.version,
            reason=outcome.failure.reason,
        )
        return encode(failed)
