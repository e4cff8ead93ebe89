"""Writing the heartbeats of this process, by which `status` and `doctor` know that it runs."""

from __future__ import annotations

import logging
import os
import socket
import time

from panopticon.errors import Unavailable
from panopticon.interfaces import Heartbeats
from panopticon.registry.heartbeats import EVERY_S, Heartbeat, ProcessRole, ProcessState
from workers.runtime.clock import Clock

log = logging.getLogger(__name__)


class HeartbeatWriter:
    """Writes a heartbeat every `EVERY_S` seconds. Used by one thread, which calls `turn` again and again."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        *,
        role: ProcessRole,
        version: str = "",
        digest: str = "",
        clock: Clock = time,
    ) -> None:
        self._heartbeats = heartbeats
        self._role = role
        self._version = version
        self._digest = digest
        self._clock = clock
        self._started_at_ms = self._since_ms = self._now_ms()
        self._state, self._component = ProcessState.STARTING, ""
        self._written_s: float | None = None
        self._written_done = 0

    def turn(
        self, *, ready: bool, parked: Unavailable | None, done: int, engine: str = "", remark: str = ""
    ) -> None:
        """Write a heartbeat if one is due.

        Args:
            ready: true if the process can take messages.
            parked: the reason why the process is parked; None while it is not.
            done: the number of messages that it has finished so far.
            engine: the engine of its model, once that is loaded.
            remark: what a person should know though the process is not parked.
        """
        state = ProcessState.PARKED if parked else ProcessState.READY if ready else ProcessState.STARTING
        component = parked.component if parked else ""
        if (state, component) != (self._state, self._component):
            self._state, self._component, self._since_ms = state, component, self._now_ms()
        # A store that is down would only make the process wait.
        due = self._written_s is None or self._clock.monotonic() - self._written_s >= EVERY_S
        if due and component != "store":
            self._write(parked.reason if parked else remark, done=done, engine=engine)

    def end(self, *, done: int) -> None:
        """Write the last heartbeat, so that nobody waits for the next one."""
        self._state, self._component, self._since_ms = ProcessState.ENDED, "", self._now_ms()
        self._write("", done=done, engine="")

    def _write(self, reason: str, *, done: int, engine: str) -> None:
        now_s = self._clock.monotonic()
        elapsed_s = now_s - self._written_s if self._written_s is not None else 0.0
        heartbeat = Heartbeat(
            host=socket.gethostname(),
            pid=os.getpid(),
            role=self._role,
            version=self._version,
            digest=self._digest,
            engine=engine,
            state=self._state,
            component=self._component,
            reason=reason,
            since_ms=self._since_ms,
            images_per_s=(done - self._written_done) / elapsed_s if elapsed_s else 0.0,
            started_at_ms=self._started_at_ms,
            at_ms=self._now_ms(),
        )
        self._written_s, self._written_done = now_s, done
        try:
            self._heartbeats.put(heartbeat)
        except Unavailable as error:
            # Work itself will find out, and park.
            log.debug("no heartbeat was written: %s", error)

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)
