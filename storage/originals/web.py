"""One answer of one web server: bounded in bytes and in time, and every way to fail named."""

from __future__ import annotations

import time
from dataclasses import dataclass

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as HttpTimeoutError
from urllib3.util import parse_url

from panopticon.errors import PanopticonError, Rejected, Transient
from storage.originals.addresses import PORTS, NamedHost, named_host
from storage.originals.connections import Resolve, open_pool

HEADERS = {"Accept-Encoding": "identity", "User-Agent": "panopticon"}
OK = 200
CHUNK_BYTES = 256 * 1024
MAX_REFUSAL_BYTES = 64 * 1024
"""Read of an answer that is no original: enough to tell why, and to use the connection again."""


class Unreachable(PanopticonError):  # noqa: N818
    """The host itself could not be reached or trusted, whatever is asked of it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said. Unless `status` is 200, `content` is only the beginning of it."""

    host: str
    status: int
    location: str
    content: bytes

    @property
    def detail(self) -> str:
        return f"{self.host} answered {self.status}"


class Web:
    """GET requests of many threads over connections that are kept."""

    def __init__(self, resolve: Resolve) -> None:
        self._pool: PoolManager = open_pool(resolve)

    def get(self, url: str, *, max_bytes: int, deadline_s: float) -> Answer:
        """`deadline_s`: monotonic; holds for the whole answer, bytes that drip included.

        Raises: Unreachable, Rejected (bad_uri, address_not_allowed, too_many_bytes, content_encoding),
        Transient (timeout, connection_reset).
        """
        host = host_of(url).host
        try:
            return self._get(url, host, max_bytes=max_bytes, deadline_s=deadline_s)
        except HTTPError as error:
            raise _named(error, host) from None

    def _get(self, url: str, host: str, *, max_bytes: int, deadline_s: float) -> Answer:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise HttpTimeoutError
        response = self._pool.urlopen(
            "GET",
            url,
            headers=HEADERS,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(total=left_s),
        )
        try:
            content = _content(response, max_bytes) if response.status == OK else _beginning(response)
        finally:
            # Read to its end it has gone back to the pool; otherwise it must not be used again.
            response.close()
        location = response.headers.get("Location", "")
        return Answer(host=host, status=response.status, location=location, content=content)


def host_of(url: str) -> NamedHost:
    """As it is connected to. Raises: Rejected(`bad_uri`)."""
    try:
        parts = parse_url(url)
    except (LocationParseError, ValueError):
        raise Rejected("bad_uri", "it is no URL") from None
    if parts.scheme not in PORTS or not parts.host:
        raise Rejected("bad_uri", "a web URI is http://host/path or https://host/path")
    if parts.auth is not None:
        raise Rejected("bad_uri", "a URI with a user name or password in it is not used")
    return named_host(parts.host, parts.port or PORTS[parts.scheme])


def _content(response: BaseHTTPResponse, max_bytes: int) -> bytes:
    # What was not asked for is not unpacked: a few bytes could become gigabytes.
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Rejected("content_encoding", f"it comes as {encoding[:20]}, though it was asked for as it is")
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise Rejected("too_many_bytes", f"{announced} bytes; at most {max_bytes} are fetched")
    chunks, total = [], 0
    for chunk in response.stream(CHUNK_BYTES):
        total += len(chunk)
        if total > max_bytes:
            raise Rejected("too_many_bytes", f"more than the {max_bytes} bytes that are fetched")
        chunks.append(chunk)
    return b"".join(chunks)


def _beginning(response: BaseHTTPResponse) -> bytes:
    return response.read(MAX_REFUSAL_BYTES)


def _named(error: HTTPError, host: str) -> PanopticonError:
    match error:
        case LocationValueError():
            return Rejected("bad_uri", "it is no URL")
        case NameResolutionError():
            return Unreachable("dns", f"{host} cannot be resolved")
        case SSLError():
            return Unreachable("tls", f"{host}: {_why(error)}")
        case NewConnectionError() | ConnectTimeoutError():
            return Unreachable("connection_failed", f"{host}: {_why(error)}")
        case HttpTimeoutError():
            return Transient("timeout", f"{host} took too long")
        case ProtocolError():
            return Transient("connection_reset", f"{host} broke off its answer")
        case _:
            return Transient("connection_failed", f"{host}: {type(error).__name__}")


def _why(error: HTTPError) -> str:
    """The system's own words; the library's hold the URL."""
    cause = error.__cause__ or (error.args or [None])[0]
    said = (getattr(cause, name, None) for name in ("verify_message", "reason", "strerror"))
    return next((str(words) for words in said if words), "no answer")
