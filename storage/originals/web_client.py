"""GET requests with a limit on bytes and on time, whose failures all have a reason code."""

from __future__ import annotations

import time
from dataclasses import dataclass

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
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
PLAIN = ("", "identity")
UNPACKED = (*PLAIN, "gzip", "x-gzip", "deflate")
"""Values of Content-Encoding that are taken. None is asked for, but objects are stored with them."""
CHUNK_BYTES = 256 * 1024
MAX_REFUSAL_BYTES = 64 * 1024
"""The most that is read of an error's body: enough for its reason, and to use the connection again."""
SECOND_TRY_AFTER_S = 0.1
"""The pause after an answer that broke off: a process that was killed closes its sockets within it."""


class Unreachable(PanopticonError):  # noqa: N818
    """The error of a host that cannot be reached or trusted, whatever the request."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a server. Unless `status` is 200, `content` is only the beginning of its body."""

    host: str
    status: int
    location: str
    content: bytes

    @property
    def detail(self) -> str:
        """The answer in one line, without the URL."""
        return f"{self.host} answered {self.status}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOrigin:
    """The part of a URL that decides what is connected to, and how.

    Two spellings of one host are two origins: `photos` and `photos.` resolve by different rules.
    """

    scheme: str
    host: str
    port: int


class WebClient:
    """A client for GET requests from many threads, over kept connections."""

    def __init__(self, resolve: Resolve) -> None:
        self._pool: PoolManager = open_pool(resolve)

    def get(self, url: str, *, max_bytes: int, deadline_s: float) -> Answer:
        """Fetch a URL without following redirects.

        `deadline_s` (monotonic) holds for the whole answer, even if it comes byte by byte. An answer that
        breaks off is asked for once more.

        Raises: Unreachable, Rejected (bad_uri, address_not_allowed, too_many_bytes, content_encoding),
        Transient (timeout, connection_reset).
        """
        host = parse_host(url).host
        try:
            return self._get_with_second_try(url, host, max_bytes=max_bytes, deadline_s=deadline_s)
        except HTTPError as error:
            raise _named(error, host) from None

    def _get_with_second_try(self, url: str, host: str, *, max_bytes: int, deadline_s: float) -> Answer:
        try:
            return self._get(url, host, max_bytes=max_bytes, deadline_s=deadline_s)
        except ProtocolError:
            # A server that stops breaks off what it is sending, and closes connections that were kept. A new
            # connection shows the difference: no server, which is an outage, or one that fails at this URL.
            if time.monotonic() + SECOND_TRY_AFTER_S >= deadline_s:
                raise
            time.sleep(SECOND_TRY_AFTER_S)
            return self._get(url, host, max_bytes=max_bytes, deadline_s=deadline_s)

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
            content = (
                _content(response, max_bytes) if response.status == OK else response.read(MAX_REFUSAL_BYTES)
            )
        finally:
            # A response read to its end is back in the pool; any other connection must not be used again.
            response.close()
        location = response.headers.get("Location", "")
        return Answer(host=host, status=response.status, location=location, content=content)


def parse_host(url: str) -> NamedHost:
    """Return the host and port of a URL. Raises: Rejected(`bad_uri`)."""
    origin = origin_of(url)
    return named_host(origin.host, origin.port)


def origin_of(url: str) -> WebOrigin:
    """Return the origin of a URL. Raises: Rejected(`bad_uri`)."""
    try:
        parts = parse_url(url)
    except (LocationParseError, ValueError):
        raise Rejected("bad_uri", "it is not a URL") from None
    if parts.scheme not in PORTS or not parts.host:
        raise Rejected("bad_uri", "a web URI is http://host/path or https://host/path")
    if parts.auth is not None:
        raise Rejected("bad_uri", "a URI must not have a user name or password in it")
    return WebOrigin(scheme=parts.scheme, host=parts.host, port=parts.port or PORTS[parts.scheme])


def _content(response: BaseHTTPResponse, max_bytes: int) -> bytes:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in UNPACKED:
        raise Rejected("content_encoding", f"it is encoded as {encoding[:20]}, which was not asked for")
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise Rejected("too_many_bytes", f"{announced} bytes; at most {max_bytes} are fetched")
    chunks, total = [], 0
    # Each chunk is unpacked to at most its size, so that a few bytes cannot become gigabytes at once.
    for chunk in response.stream(CHUNK_BYTES, decode_content=encoding not in PLAIN):
        total += len(chunk)
        if total > max_bytes:
            raise Rejected("too_many_bytes", f"more than the {max_bytes} bytes that are fetched")
        chunks.append(chunk)
    return b"".join(chunks)


def _named(error: HTTPError, host: str) -> PanopticonError:
    match error:
        case DecodeError():
            return Rejected("content_encoding", f"{host} sent data that cannot be unpacked")
        case LocationValueError():
            return Rejected("bad_uri", "it is not a URL")
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
    # The text of the library's error contains the URL, so the system's own words are used.
    cause = error.__cause__ or (error.args or [None])[0]
    texts = (getattr(cause, name, None) for name in ("verify_message", "reason", "strerror"))
    return next((str(text) for text in texts if text), "no answer")
