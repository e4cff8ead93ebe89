"""Reasons of the service itself for which an image has no answer."""

from __future__ import annotations

from panopticon.errors import PanopticonError


class DeadlinePassed(PanopticonError):  # noqa: N818
    """The time of the request was over before the model could answer; the image is innocent."""


class GateFull(PanopticonError):  # noqa: N818
    """A model holds as many images as it may."""

    def __init__(self, message: str, *, allowed: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.allowed = allowed
        self.retry_after_s = retry_after_s
