"""A call: one request, repeated at other hosts and later, until it is answered or its time is over."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Protocol

from panopticon_client.errors import Busy, ClientError, Rejected, Unavailable, Unexpected
from panopticon_client.rotation import Refusal, Rest, Rotation
from panopticon_client.transport import Answer, NoAnswer, Request, TooLong, Transport

BACKOFF_S = 0.1
MAX_BACKOFF_S = 2.0
UNNAMED_REST_S = 1.0
"""Rest of a host that answers 429 without saying for how long."""
BUSY = 429
ELSEWHERE = {408, BUSY, 502, 503, 504}
"""Statuses after which another host is asked."""
MAX_NAMED = 5


class Clock(Protocol):
    """The part of the module `time` that a call uses."""

    def time(self) -> float: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


@dataclass(slots=True, kw_only=True)
class _Course:
    """The course of one call so far."""

    request: Request
    request_id: str
    deadline_s: float
    limit_s: float
    refusals: dict[str, Refusal] = field(default_factory=dict)
    """The last one of each host that was asked."""


class Calls:
    """Makes calls, from many threads."""

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        random: random.Random,
        attempts: int,
        attempt_timeout_s: float | None,
    ) -> None:
        """`attempts`: rounds over the hosts in which one of them fails.

        `attempt_timeout_s`: the longest wait for one host; None: the time that is left.
        """
        self._transport = transport
        self._clock = clock
        self._random = random
        self._attempts = attempts
        self._attempt_timeout_s = attempt_timeout_s

    def ask(self, request: Request, hosts: Rotation, *, request_id: str, deadline_s: float) -> Answer:
        """Return the first good answer. `deadline_s`: on the monotonic clock.

        Each round asks every host that is not resting, one after the other, without a pause. Between two
        rounds lies a pause with full jitter, after the first host's rest if all of them are resting.

        Raises: Rejected, Busy, Unavailable, Unexpected, Unreadable.
        """
        limit_s = deadline_s - self._clock.monotonic()
        course = _Course(request=request, request_id=request_id, deadline_s=deadline_s, limit_s=limit_s)
        failed_rounds = 0
        backoff_s = BACKOFF_S
        while True:
            answer, has_failed = self._round(course, hosts)
            if answer is not None:
                return answer
            failed_rounds += has_failed
            now_s = self._clock.monotonic()
            resting = hosts.resting(request.kind, now_s=now_s)
            is_all_resting = len(resting) == len(hosts.urls)
            free_s = (
                min((rest.until_s for rest in resting.values()), default=now_s) if is_all_resting else now_s
            )
            if failed_rounds >= self._attempts or free_s >= deadline_s:
                raise self._failure(course, hosts)
            # Busy hosts know best when they are free, so those times only spread; failures double the pause.
            jitter_s = backoff_s if has_failed else min(max(BACKOFF_S, free_s - now_s), MAX_BACKOFF_S)
            pause_until_s = free_s + self._random.uniform(0, jitter_s)
            # A jitter that does not fit into the time of the call is left out.
            self._clock.sleep((pause_until_s if pause_until_s < deadline_s else free_s) - now_s)
            if has_failed:
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)

    def _round(self, course: _Course, hosts: Rotation) -> tuple[Answer | None, bool]:
        """Ask every host once. Return the good answer, and whether a host failed in another way than busy."""
        tried: set[str] = set()
        has_failed = False
        while (now_s := self._clock.monotonic()) < course.deadline_s:
            host = hosts.next(course.request.kind, tried=tried, now_s=now_s)
            if host is None:
                break
            tried.add(host)
            answer = self._ask_one(host, course, hosts, now_s)
            if answer is not None:
                return answer, has_failed
            has_failed |= not course.refusals[host].is_busy
        return None, has_failed

    def _ask_one(self, host: str, course: _Course, hosts: Rotation, now_s: float) -> Answer | None:
        """Return a good answer; note the refusal of one after which another host is asked."""
        left_s = course.deadline_s - now_s
        limit_s = left_s if self._attempt_timeout_s is None else min(left_s, self._attempt_timeout_s)
        try:
            answer = self._transport.send(host, course.request, limit_s=limit_s)
        except NoAnswer as error:
            course.refusals[host] = Refusal(is_busy=False, text=f"{host}: {error}")
            hosts.suspect(host, now_s=self._clock.monotonic())
            return None
        except TooLong as error:
            raise Unexpected(_with_id(f"{host}: {error}", course), request_id=course.request_id) from None
        hosts.trust(host)
        if answer.status in ELSEWHERE:
            self._note(answer, course, hosts)
            return None
        return _checked(answer, course)

    def _note(self, answer: Answer, course: _Course, hosts: Rotation) -> None:
        refusal = Refusal(is_busy=answer.status == BUSY, text=str(answer))
        course.refusals[answer.host] = refusal
        wait_s = answer.retry_after_s(now=self._clock.time())
        now_s = self._clock.monotonic()
        if wait_s is None and refusal.is_busy:
            wait_s = UNNAMED_REST_S
        if wait_s is not None:
            hosts.rest(answer.host, course.request.kind, Rest(until_s=now_s + wait_s, refusal=refusal))
        elif answer.status == 503:
            hosts.suspect(answer.host, now_s=now_s)

    def _failure(self, course: _Course, hosts: Rotation) -> ClientError:
        now_s = self._clock.monotonic()
        resting = hosts.resting(course.request.kind, now_s=now_s)
        # A host that rests since another call was not asked by this one.
        refusals = {**{url: rest.refusal for url, rest in resting.items()}, **course.refusals}
        texts = [refusal.text for refusal in refusals.values()]
        more = f"; and {len(texts) - MAX_NAMED} more" if len(texts) > MAX_NAMED else ""
        said = "; ".join(texts[:MAX_NAMED]) + more or "no time was left to ask"
        if refusals and all(refusal.is_busy for refusal in refusals.values()):
            wait_s = min((rest.until_s for rest in resting.values()), default=now_s) - now_s
            message = f"all hosts are busy for longer than {course.limit_s:.3g} s: {said}"
            return Busy(_with_id(message, course), retry_after_s=wait_s, request_id=course.request_id)
        message = f"no host answered in {course.limit_s:.3g} s or {self._attempts} attempts: {said}"
        return Unavailable(_with_id(message, course), request_id=course.request_id)


def _checked(answer: Answer, course: _Course) -> Answer:
    if 200 <= answer.status < 300:
        return answer
    message, request_id = _with_id(str(answer), course), course.request_id
    if 400 <= answer.status < 500:
        raise Rejected(message, host=answer.host, problem=answer.problem(), request_id=request_id)
    raise Unexpected(message, request_id=request_id)


def _with_id(message: str, course: _Course) -> str:
    return f"{message} (request {course.request_id})"
