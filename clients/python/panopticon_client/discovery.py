"""The list of hosts: a fixed one, or the one that the deployment itself answers."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping

from panopticon_client.calls import Calls, Clock
from panopticon_client.errors import ClientError, Unavailable, Unexpected
from panopticon_client.results import HostList, base_url, read
from panopticon_client.rotation import Rotation
from panopticon_client.transport import Answer, NoAnswer, Request, TooLong, Transport

REFRESH_S = 2.0
"""The longest wait for one host when the list is read again: the old list is good enough meanwhile."""
RETRY_S = 5.0
MAX_ASKED = 3


class Discovery:
    """The hosts of a deployment, read again once they are older than the answer allowed."""

    def __init__(
        self,
        url: str,
        *,
        transport: Transport,
        calls: Calls,
        clock: Clock,
        random: random.Random,
        headers: Mapping[str, str],
    ) -> None:
        self._url = base_url(url)
        self._transport = transport
        self._calls = calls
        self._clock = clock
        self._random = random
        self._headers = headers
        self._lock = threading.Lock()
        self._rotation: Rotation | None = None
        self._due_s = 0.0

    def hosts(self, *, request_id: str, deadline_s: float) -> Rotation:
        """Return the hosts; the last good list if a newer one cannot be had.

        Raises: what a call raises, if there is no list yet.
        """
        rotation = self._rotation
        if rotation is None:
            return self._first(request_id, deadline_s)
        # One thread reads the list again; the others go on with what they have.
        if self._clock.monotonic() >= self._due_s and self._lock.acquire(blocking=False):
            try:
                self._refresh(rotation, request_id, deadline_s)
            finally:
                self._lock.release()
        return rotation

    def _first(self, request_id: str, deadline_s: float) -> Rotation:
        left_s = max(0.0, deadline_s - self._clock.monotonic())
        if not self._lock.acquire(timeout=left_s):
            raise Unavailable(f"{self._url}: no list of hosts in {left_s:.3g} s", request_id=request_id)
        try:
            if self._rotation is None:
                source = Rotation([self._url], random=self._random)
                request = self._request(request_id)
                answer = self._calls.ask(request, source, request_id=request_id, deadline_s=deadline_s)
                found = self._read(answer, request_id)
                self._keep(found)
                self._rotation = Rotation(found.hosts, random=self._random)
            return self._rotation
        finally:
            self._lock.release()

    def _refresh(self, rotation: Rotation, request_id: str, deadline_s: float) -> None:
        if self._clock.monotonic() < self._due_s:
            return
        # Every host has the list, so that the first of them may be gone for good.
        for url in [*rotation.urls[: MAX_ASKED - 1], self._url]:
            left_s = deadline_s - self._clock.monotonic()
            if left_s <= 0:
                break
            try:
                request = self._request(request_id)
                found = self._read(
                    self._transport.send(url, request, limit_s=min(left_s, REFRESH_S)), request_id
                )
            except (NoAnswer, TooLong, ClientError):
                continue
            self._keep(found)
            rotation.replace(found.hosts)
            return
        self._due_s = self._clock.monotonic() + RETRY_S

    def _keep(self, found: HostList) -> None:
        self._due_s = self._clock.monotonic() + max(1.0, found.max_age_s)

    def _request(self, request_id: str) -> Request:
        headers = {**self._headers, "X-Request-Id": request_id}
        return Request(method="GET", target="/v1/hosts", kind="read", headers=headers)

    def _read(self, answer: Answer, request_id: str) -> HostList:
        try:
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            raw = answer.json()
            found = read(lambda: HostList.of(raw), "the list of hosts")
            if self._url.startswith("https:") and any(url.startswith("http:") for url in found.hosts):
                raise ValueError(
                    "a list that came over TLS names a host without TLS, which would see the token"
                )
        except ValueError as error:
            raise Unexpected(f"{answer.host}: {error}", request_id=request_id) from None
        return found
