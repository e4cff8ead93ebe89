"""The failure policy of a consumer: the outcome of an image that was not run."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.results.outputs import Failure, FailureState
from panopticon.scheduling.guard import WINDOW, DeadGuard
from workers.worker.in_flight import LeasedImage
from workers.worker.outcomes import Dead, Requeued, Retried


class FailurePolicy:
    """Retry delays, and a guard against too many dead images. Pure: its only state is the guard's window."""

    def __init__(self, *, retry_delays_s: Sequence[float], max_dead_share: float) -> None:
        self._retry_delays_s = retry_delays_s
        self._guard = DeadGuard(max_share=max_dead_share)

    @property
    def guard_tripped(self) -> bool:
        """Return whether too many images are dead for the images themselves to be at fault."""
        return self._guard.tripped

    def ran(self) -> None:
        """Record an image that was run: it shows that the source works, and resets a tripped guard."""
        if self._guard.tripped:
            self._guard.reset()
        self._guard.record(dead=False)

    def outcome(
        self, image: LeasedImage, error: Rejected | Transient, *, at_ms: int
    ) -> Dead | Retried | Requeued:
        """Return the outcome of an image that is itself at fault.

        A transient error spends an attempt on the next retry delay; after the last, or if the image was
        rejected, it is dead. While the guard is tripped no image is dead and none spends an attempt.
        """
        delays_s, attempt = self._retry_delays_s, image.delivery.attempt
        if self._guard.tripped:
            # A broker counts messages that are merely requeued, and in the end drops them; one that waits out
            # a retry delay is not counted.
            return self._delayed(image, "probe") if delays_s else Requeued(delivery=image.delivery)
        if isinstance(error, Transient) and attempt < len(delays_s):
            return Retried(
                delivery=image.delivery,
                message=image.message,
                delay_s=delays_s[attempt],
                reason=error.reason,
                detail=error.detail,
            )
        self._guard.record(dead=True)
        failure = Failure(
            key=image.key,
            state=FailureState.DEAD,
            reason=error.reason,
            detail=error.detail,
            attempts=attempt,
            last_at_ms=at_ms,
            message=image.delivery.body,
        )
        return Dead(delivery=image.delivery, message=image.message, failure=failure)

    def host_down(self, image: LeasedImage) -> Retried:
        """Return the outcome of an image whose host is down: it waits, and spends no attempt.

        There has to be a retry delay.
        """
        return self._delayed(image, "host_down")

    def too_many_dead(self, latest: Rejected | Transient) -> Unavailable:
        """Return the reason to park while the guard is tripped."""
        reason = f"too many of the last {WINDOW} images were dead, the latest by {latest.reason!r}"
        return Unavailable("source", reason)

    def _delayed(self, image: LeasedImage, reason: str) -> Retried:
        delay_s = self._retry_delays_s[0]
        return Retried(
            delivery=image.delivery,
            message=image.message,
            delay_s=delay_s,
            reason=reason,
            spend_attempt=False,
        )
