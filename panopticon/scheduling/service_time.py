"""The measured time that a model takes for one image, from which waits are estimated."""

from __future__ import annotations

WEIGHT = 0.1
"""Weight of the newest measurement in the moving average: about the last twenty answers count."""


class ServiceTime:
    """An exponential moving average of the seconds between two answers of a model that is busy.

    Time in which nothing was to be done says nothing about the model, so only answers count before and after
    which images were waiting or running. Used by one thread; times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._busy_since_s: float | None = None
        self._average_s: float | None = None

    @property
    def seconds(self) -> float | None:
        """Return the seconds for one image, over all processes of the model; None before the first answer."""
        return self._average_s

    def began(self, *, now_s: float) -> None:
        """Record that an image was given to the model; the first one begins a busy period."""
        if self._busy_since_s is None:
            self._busy_since_s = now_s

    def interrupted(self) -> None:
        """Begin the measurement again with the next image: the wait for a new process is not its own."""
        self._busy_since_s = None

    def answered(self, images: int, *, busy: bool, now_s: float) -> None:
        """Record that some images were answered at this moment. `busy`: others are still unanswered."""
        if self._busy_since_s is not None and images:
            each_s = max(now_s - self._busy_since_s, 0.0) / images
            # As if each of them had been measured by itself.
            weight = 1 - (1 - WEIGHT) ** images
            before_s = each_s if self._average_s is None else self._average_s
            self._average_s = before_s + weight * (each_s - before_s)
        if not busy:
            self._busy_since_s = None
        elif images:
            self._busy_since_s = now_s

    def wait_s(self, images_ahead: int) -> float:
        """Return the seconds until this number of images will have been answered; 0 if nothing is known."""
        return images_ahead * (self._average_s or 0.0)
