"""One request to one host, and its answer."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as HttpTimeoutError

from panopticon_client.bodies import Body
from panopticon_client.results import Problem

MAX_ANSWER_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
MAX_DETAIL_CHARS = 300


class NoAnswer(Exception):  # noqa: N818
    """A host did not answer, in the words of its reason. The request may be sent to another one."""


class TooLong(Exception):  # noqa: N818
    """An answer has more bytes than are read."""


MAX_RETRY_AFTER_S = 60.0
"""A host that asks for a longer wait is asked again after this time, for it may be a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, for whichever host."""

    method: str
    target: str
    """Path and query."""
    kind: str
    """The kind of call for which a host rests after a refusal."""
    headers: Mapping[str, str]
    body: Body | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of one host."""

    host: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """Raises: ValueError unless the content is a JSON object."""
        try:
            value = json.loads(self.content)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            kind = self.headers.get("Content-Type", "no type")
            raise ValueError(f"the answer is not a JSON object but {kind[:60]!r}")
        return value

    def problem(self) -> Problem:
        """Return the problem of a refusal; one without details if a proxy wrote the answer."""
        try:
            return Problem.of(self.json(), status=self.status)
        except ValueError:
            return Problem.of({}, status=self.status)

    def retry_after_s(self, *, now: float) -> float | None:
        """Return the seconds for which the host asks to wait, a minute at most.

        `now`: seconds since 1970.
        """
        wait_ms = self.problem().retry_after_ms
        # Comparisons only, for an integer of JSON may be too large for a float, and a float infinite or NaN.
        if wait_ms is not None and wait_ms >= 0:
            return min(wait_ms, MAX_RETRY_AFTER_S * 1000) / 1000
        written = self.headers.get("Retry-After", "").strip()
        if written.isdecimal() and written.isascii():
            return min(float(written), MAX_RETRY_AFTER_S)
        try:
            wait_s = parsedate_to_datetime(written).timestamp() - now if written else None
        except (ValueError, OverflowError):
            return None
        return None if wait_s is None else min(max(0.0, wait_s), MAX_RETRY_AFTER_S)

    def __str__(self) -> str:
        return f"{self.host}: {self.status} {_one_line(str(self.problem()))}"


class Transport:
    """Sends requests over kept connections, from many threads."""

    def __init__(self, pool: PoolManager) -> None:
        self._pool = pool

    def send(self, host: str, request: Request, *, limit_s: float) -> Answer:
        """Send a request and read the whole answer within `limit_s`.

        Raises: NoAnswer; TooLong; Unreadable if its file cannot be sent.
        """
        started_s = time.monotonic()
        # The host stops working on a request that nobody waits for any more.
        headers = {**request.headers, "X-Request-Timeout-Ms": str(max(1, int(limit_s * 1000)))}
        try:
            if request.body is None:
                return self._send(host, request, headers, None, started_s + limit_s)
            with request.body.open() as opened:
                headers["Content-Type"] = request.body.content_type
                headers["Content-Length"] = str(opened.length_bytes)
                return self._send(host, request, headers, opened.reader, started_s + limit_s)
        except (HTTPError, TimeoutError) as error:
            raise NoAnswer(_reason(error, limit_s)) from None

    def close(self) -> None:
        self._pool.clear()

    def _send(
        self, host: str, request: Request, headers: Mapping[str, str], body: Any, deadline_s: float
    ) -> Answer:
        response = self._pool.urlopen(
            request.method,
            host + request.target,
            headers=headers,
            body=body,
            # Redirects are not followed: the token is for this host alone.
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(total=max(0.001, deadline_s - time.monotonic())),
        )
        try:
            content = _content(response)
        finally:
            # A connection whose answer was read to its end is in the pool again; any other is of no use.
            response.close()
        return Answer(host=host, status=response.status, headers=response.headers, content=content)


def _content(response: BaseHTTPResponse) -> bytes:
    chunks, total_bytes = [], 0
    for chunk in response.stream(CHUNK_BYTES):
        total_bytes += len(chunk)
        if total_bytes > MAX_ANSWER_BYTES:
            raise TooLong(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _reason(error: Exception, limit_s: float) -> str:
    # The library's own texts contain addresses of objects, and change between its releases.
    if isinstance(error, NameResolutionError):
        return "its name cannot be resolved"
    if isinstance(error, SSLError):
        return f"TLS failed: {_cause(error)}"
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        return f"no connection: {_cause(error)}"
    # A timeout while sending comes inside an error of the protocol.
    if isinstance(error, (HttpTimeoutError, TimeoutError)) or _is_timeout(error):
        return f"no answer within {limit_s:.3g} s"
    if isinstance(error, ProtocolError):
        return "the connection broke off"
    return type(error).__name__


def _is_timeout(error: Exception) -> bool:
    return bool(error.args) and isinstance(error.args[-1], TimeoutError)


def _cause(error: HTTPError) -> str:
    cause = error.__cause__ or next(iter(error.args), None)
    texts = (getattr(cause, name, None) for name in ("verify_message", "reason", "strerror"))
    return _one_line(next((str(text) for text in texts if text), "timed out"))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_DETAIL_CHARS else f"{line[:MAX_DETAIL_CHARS]} …"
