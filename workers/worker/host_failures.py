"""Whose fault a failed fetch is: the image's, which pays an attempt, or its host's, and then nobody pays."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Generic, TypeVar

from panopticon.errors import Transient
from panopticon.scheduling.breaker import Breaker

log = logging.getLogger(__name__)

SIGNS_OF_LIFE = frozenset({"not_found"})
"""Failures with which a host has answered well."""

WorkT = TypeVar("WorkT")


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingFailure(Generic[WorkT]):
    """A failure nobody is charged with yet."""

    work: WorkT
    host: str
    error: Transient


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDecisions(Generic[WorkT]):
    """What became of the doubts."""

    image_at_fault: list[PendingFailure[WorkT]]
    host_at_fault: list[PendingFailure[WorkT]]


class Hosts(Generic[WorkT]):
    """The hosts of one worker's originals. Used by one thread."""

    def __init__(self, breaker: Breaker, *, clock: Callable[[], float]) -> None:
        self._breaker = breaker
        self._clock = clock
        self._pending: list[PendingFailure[WorkT]] = []

    @property
    def pending_works(self) -> list[WorkT]:
        """In hand until their verdict."""
        return [pending.work for pending in self._pending]

    def admits(self, host: str) -> bool:
        """Whether an image may be asked of it now."""
        return self._breaker.admits(host, now_s=self._clock())

    def answered(self, host: str) -> None:
        """Whatever it said."""
        if self._breaker.answered(host):
            log.warning("%s is back", host)

    def undecided(self, host: str) -> list[WorkT]:
        """It is known by other ways to be down: what was in doubt because of it, which nobody pays for."""
        self._breaker.undecided(host)
        freed = [pending.work for pending in self._pending if pending.host == host]
        self._pending = [pending for pending in self._pending if pending.host != host]
        return freed

    def failed(self, host: str, image_id: str, work: WorkT, error: Transient) -> None:
        self._pending.append(PendingFailure(work=work, host=host, error=error))
        if error.reason in SIGNS_OF_LIFE:
            self.answered(host)
        elif self._breaker.failed(host, image_id, now_s=self._clock()):
            log.warning("%s is down, the latest failure: %s; its images wait and pay no attempt", host, error)

    def decide(self, busy: Container[str]) -> HostDecisions[WorkT]:
        """Of the doubts that can be decided. `busy`: hosts that are being asked, and so will be heard of."""
        decided = [pending for pending in self._pending if self._is_decided(pending.host, busy)]
        self._pending = [pending for pending in self._pending if not self._is_decided(pending.host, busy)]
        at_fault = [pending for pending in decided if self._breaker.is_down(pending.host)]
        charged = [pending for pending in decided if not self._breaker.is_down(pending.host)]
        return HostDecisions(image_at_fault=charged, host_at_fault=at_fault)

    def give_up(self) -> list[WorkT]:
        """Everything in doubt, undecided."""
        works, self._pending = self.pending_works, []
        return works

    def _is_decided(self, host: str, busy: Container[str]) -> bool:
        return self._breaker.is_down(host) or not self._breaker.has_failed(host) or host not in busy
