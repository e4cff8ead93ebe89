"""One image that waits for one model, and its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from panopticon.errors import PanopticonError
from panopticon.messages import Lane
from panopticon.scheduling.items import Ran


class DeadlinePassed(PanopticonError):  # noqa: N818
    """The time of the request was over before the model could answer; the image is innocent."""


@dataclass(eq=False, slots=True, kw_only=True)
class Job:
    """One image for one model. It is finished once, or forgotten if nobody wants its outcome any more."""

    client: str
    """The client among which the waiting images take turns."""
    lane: Lane
    finished: Callable[[Job], None]
    """Called once, on the event loop, when `outcome` has been set."""
    uri: str = ""
    encoded: bytes | None = None
    trace: str = ""
    deadline_s: float
    """Monotonic time after which the outcome is worthless."""
    waits_since_s: float = 0.0
    """Monotonic time at which it began to wait for a model process."""
    outcome: Ran | PanopticonError | None = None
    forgotten: bool = False

    def finish(self, outcome: Ran | PanopticonError) -> None:
        """Set the outcome and report it; a job that is finished or forgotten stays as it is."""
        if self.outcome is None and not self.forgotten:
            self.outcome = outcome
            self.finished(self)
