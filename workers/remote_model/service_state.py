"""The state of the service as far as it is known: up or not, and when to ask it again."""

from __future__ import annotations

from collections.abc import Callable

from panopticon.errors import Unavailable
from panopticon.scheduling.backoff import Backoff
from panopticon.scheduling.items import Hello
from workers.remote_model.replies import Description, Down, Up

FIRST_PAUSE_S = 0.5
LOADING_PAUSE_S = 0.5
QUIET_S = 10.0
"""Time without any answer after which the service is asked whether it is there."""
FAILING_S = 5.0
"""Time in which requests stay without an answer, and none gets through, before the service counts as down."""


class ServiceState:
    """The state of one model in the service. Pure: times are monotonic seconds, and arguments."""

    def __init__(self, address: str, *, max_pause_s: float, random: Callable[[], float]) -> None:
        self._address = address
        self._pauses = Backoff(first_s=FIRST_PAUSE_S, max_s=max_pause_s, random=random)
        self._ask_at_s = 0.0
        self._asking = False
        self._failing_since_s: float | None = None
        self.hello: Hello | None = None
        """None while the model does not run there, or is not known to."""
        self.down: Unavailable | None = None
        """The reason why the model cannot run anything at present; None while it can."""

    def ask_in_s(self, *, now_s: float) -> float | None:
        """Return the time until the service is to be asked for its state; None while it is being asked."""
        return None if self._asking else max(self._ask_at_s - now_s, 0.0)

    def asked(self) -> None:
        """Record that the question is under way."""
        self._asking = True

    def described(self, description: Description, *, now_s: float) -> None:
        """Record the answer to the question."""
        self._asking = False
        if isinstance(description, Down):
            self.failed_for_good(description.reason, now_s=now_s)
        elif isinstance(description, Up):
            self._ask_at_s = now_s + QUIET_S
            self._failing_since_s = None
            self.hello, self.down = description.hello, None
        else:
            # It may have been down, and is not up yet.
            self.hello = None
            self._ask_at_s = now_s + LOADING_PAUSE_S

    def got_through(self, *, now_s: float) -> None:
        """Record an answer to any request, with which the service has shown that it works."""
        self._failing_since_s = None
        if self.down is None:
            self._pauses.reset()
            self._ask_at_s = now_s + QUIET_S

    def unanswered(self, reason: str, *, now_s: float) -> None:
        """Record a request without an answer. After `FAILING_S` without any, the service is down."""
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        elif now_s - self._failing_since_s >= FAILING_S:
            self.failed_for_good(reason, now_s=now_s)

    def failed_for_good(self, reason: str, *, now_s: float) -> None:
        """Record that the service cannot run the model now. It is asked again after a pause."""
        self.hello = None
        # Many requests may report one outage, and only the first one lengthens the pause.
        if self.down is None or self._ask_at_s <= now_s:
            self._ask_at_s = now_s + self._pauses.next_s()
        self.down = Unavailable("model", f"{self._address} {reason}")
