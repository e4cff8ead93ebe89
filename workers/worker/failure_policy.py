"""The failure policy of a consumer: the outcome of an image that was not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.results.failure_reasons import may_befall_every_image
from panopticon.results.outputs import Failure, FailureState
from panopticon.scheduling.guard import DeadGuard
from workers.worker.in_flight import LeasedImage
from workers.worker.outcomes import Dead, Requeued, Retried

ADVICE = (
    "correct the settings originals, file_roots, private_hosts or s3_buckets, or what they name; "
    "if these images are gone for good, start the worker with --set dead_share=1"
)


class FailurePolicy:
    """Retry delays, and a guard against too many dead images. Pure: its only state is that of the guard."""

    def __init__(self, *, retry_delays_s: Sequence[float], max_dead_share: float) -> None:
        self._retry_delays_s = retry_delays_s
        self._guard = DeadGuard(max_share=max_dead_share)
        self._reasons: Counter[str] = Counter()
        self._latest = ""
        self._pause_due = False

    @property
    def guard_tripped(self) -> bool:
        """Return whether too many images are dead for the images themselves to be at fault."""
        return self._guard.tripped

    @property
    def source_failing(self) -> bool:
        """Return whether so many images in a row have failed that there are pauses between the next ones."""
        return self._guard.source_failing

    @property
    def waiting_for_source(self) -> str:
        """The failures since the last success, and how to go on; empty unless images wait because of them."""
        if not self._guard.tripped or not self._reasons:
            return ""
        counts = ", ".join(f"{reason} {images}" for reason, images in self._reasons.most_common(4))
        images = self._reasons.total()
        return f"the latest {images} images could not be fetched ({counts}; last {self._latest}): {ADVICE}"

    def fetched(self) -> None:
        """Record an image that was fetched, which shows that its source works."""
        self._guard.record(dead=False)
        self._reasons.clear()

    def outcome(
        self, image: LeasedImage, error: Rejected | Transient, *, at_ms: int
    ) -> Dead | Retried | Requeued:
        """Return the outcome of an image that is itself at fault.

        A transient error spends an attempt on the next retry delay; after the last, or if the image was
        rejected, it is dead. While the guard is tripped no image is dead for a reason that may befall every
        image, and none spends an attempt.
        """
        delays_s, attempt = self._retry_delays_s, image.delivery.attempt
        is_suspicious = may_befall_every_image(error.reason)
        if is_suspicious:
            self._reasons[error.reason] += 1
            self._latest = f"{image.key.image_id!r}: {error}"
        else:
            self.fetched()
        if is_suspicious and self._guard.tripped:
            self._pause_due |= self._guard.wait()
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
        if is_suspicious:
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

    def take_pause(self) -> Unavailable | None:
        """Return the reason to park if a pause is due, once for each."""
        due, self._pause_due = self._pause_due, False
        return Unavailable("source", self.waiting_for_source) if due else None

    def _delayed(self, image: LeasedImage, reason: str) -> Retried:
        delay_s = self._retry_delays_s[0]
        return Retried(
            delivery=image.delivery,
            message=image.message,
            delay_s=delay_s,
            reason=reason,
            spend_attempt=False,
        )
