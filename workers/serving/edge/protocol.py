"""One HTTP connection: uvicorn's protocol with limits, deadlines and problem documents."""

from __future__ import annotations

import asyncio
import logging
import uuid
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from workers.serving.edge.joined_writes import JoinedWrites
from workers.serving.edge.limits import DRAIN_BYTES, DRAIN_S, Edge
from workers.serving.presence import PRESENCE, Presence
from workers.serving.problems import Problem

log = logging.getLogger(__name__)

CLOSE_S = 2.0
"""Time in which a connection ends for which there is no room, or that is cut off."""


class _Waiting(Enum):
    """The event that the timer of a connection waits for."""

    HEADERS = auto()
    NEXT_REQUEST = auto()
    REST_OF_BODY = auto()


class EdgeProtocol(HttpToolsProtocol):
    """A connection that costs little while its client is slow, silent or hostile.

    One timer runs at a time: for the headers, for the next request, or for the rest of a body that nobody
    reads any more. While the application has a request, its own deadlines apply.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        edge: Edge,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.edge = edge
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: _Waiting | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        """The request that the application has; those after it are in `pipeline`."""
        self._in_headers = False
        self._in_body = False
        self._header_bytes = 0
        self._max_header_bytes = edge.limits.max_header_bytes
        self._refused = False
        """Nothing more is parsed; what still comes is counted and thrown away."""
        self._left_bytes = DRAIN_BYTES

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoinedWrites(transport, self.loop))
        limits = self.edge.limits
        if len(self.connections) <= limits.max_connections:
            self._wait_for(_Waiting.HEADERS, limits.header_timeout_s)
            return
        # It waits for nothing, so that it does not count while the answer is sent.
        self.connections.discard(self)
        self._refused = True
        self.edge.refused("busy")
        problem = Problem(
            slug="busy",
            detail=f"{limits.max_connections} connections are open",
            allowed=limits.max_connections,
        )
        transport.write(answer_bytes(problem, self.server_state.default_headers))
        self._close(abort_s=CLOSE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()
        if self._write_timer is not None:
            self._write_timer.cancel()
        # uvicorn lets only the newest request know that its client left; the others are never answered.
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            _leave(self._running)
        self._refused = True

    def data_received(self, data: bytes) -> None:
        if self._refused or self._waiting is _Waiting.REST_OF_BODY:
            self._left_bytes -= len(data)
            if self._left_bytes < 0 and self._is_answering():
                self.flow.pause_reading()
            elif self._left_bytes < 0:
                self._close()
        if self._refused or self.transport.is_closing():
            return
        was_in_headers = self._in_headers
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # What follows a request for another protocol is not HTTP. The request itself is answered.
            self._refused = True
            self._stop_after_answers()
        except httptools.HttpParserError as error:
            self._refuse(_problem_of(error))
            return
        if was_in_headers and self._in_headers:
            # The parser names a header once it is complete, and this one does not end.
            self._header_bytes += len(data)
            if self._header_bytes > self._max_header_bytes:
                self._refuse(self._headers_too_large())
                return
        self._choose_timer()

    def _choose_timer(self) -> None:
        """Wait for what is missing, now that more data came."""
        if self._in_headers:
            # The time for headers does not begin again with each byte.
            if self._waiting is not _Waiting.HEADERS:
                self._wait_for(_Waiting.HEADERS, self.edge.limits.header_timeout_s)
        elif self._is_answering():
            self._stop_waiting()
        elif self._waiting is _Waiting.REST_OF_BODY and not self._in_body:
            self._wait_for(_Waiting.NEXT_REQUEST, self.edge.limits.keep_alive_s)

    # What the parser calls

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self.edge.limits.max_pipelined:
            raise Problem(slug="malformed-request", detail="more requests than wait on one connection")
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        # Trailers would be added to the headers of a request that the application has already.
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._check_headers()
        super().on_headers_complete()
        # Its task has been created and begins later.
        self.cycle.scope[PRESENCE] = Presence()  # type: ignore[literal-required]
        self._in_headers = False
        self._in_body = True
        if self.edge.draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body. Only a full buffer wakes the application, or the end of the body.

        uvicorn wakes it for each piece, and a photo comes in several.
        """
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()
        if not self.pipeline:
            # A large body may have stopped the reading, without which nobody notices that its client leaves.
            self.flow.resume_reading()

    def _check_headers(self) -> None:
        """Raise Problem for what two servers might read in two ways, or what this one cannot answer."""
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _malformed(f"HTTP/{version} is not spoken here", allowed=["HTTP/1.1", "HTTP/1.0"])
        hosts, codings = 0, []
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                codings.append(value.strip().lower())
        if hosts > 1 or (not hosts and version == "1.1"):
            raise _malformed(f"it has {hosts} headers Host, and HTTP/1.1 needs one")
        if codings and version == "1.0":
            raise _malformed("HTTP/1.0 has no Transfer-Encoding")
        if codings and codings != [b"chunked"]:
            raise Problem(
                slug="not-implemented",
                detail="a Transfer-Encoding other than chunked is not read",
                parameter="Transfer-Encoding",
                value=b", ".join(codings).decode("latin-1"),
                allowed=["chunked"],
            )
        # `http://host` is a target without a path; `on_headers_complete` parses it whatever it is.
        has_path = self.url.startswith(b"/") or httptools.parse_url(self.url).path
        if not has_path or not self.url.isascii():
            raise _malformed("its target is not a path", value=self.url.decode("latin-1"))

    def _count(self, number: int) -> None:
        self._header_bytes += number
        if self._header_bytes > self._max_header_bytes:
            raise self._headers_too_large()

    def _headers_too_large(self) -> Problem:
        allowed = self.edge.limits.max_header_bytes
        return Problem(
            slug="headers-too-large",
            detail=f"request line and headers are larger than {allowed} bytes",
            allowed=allowed,
        )

    # What the request that runs calls

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._in_body:
            if not self._in_headers:
                self._wait_for(_Waiting.NEXT_REQUEST, self.edge.limits.keep_alive_s)
        elif self.expect_100_continue:
            # Nobody knows whether the client still sends this body, or its next request.
            self._finish()
        else:
            self._left_bytes = DRAIN_BYTES
            self._wait_for(_Waiting.REST_OF_BODY, DRAIN_S)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.edge.limits.read_answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    # The end of the connection

    def drain(self) -> None:
        """Make the answer that is due the last one, if its headers have not been sent."""
        newest = self._newest()
        if newest is not None and not newest.response_started:
            newest.keep_alive = False

    def shutdown(self) -> None:
        """Close the connection, at once if it is idle, else after its answers."""
        if self._is_answering():
            self._stop_after_answers()
        elif not self._in_headers and not self._refused:
            self._close()

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _newest(self) -> RequestResponseCycle | None:
        """Return the newest accepted request that is not answered."""
        newest = self.pipeline[0][0] if self.pipeline else self._running
        return newest if newest is not None and not newest.response_complete else None

    def _refuse(self, problem: Problem) -> None:
        """Parse nothing more, answer what was accepted before, and then say what was wrong with the rest."""
        self.edge.refused(problem.slug)
        self._refused = True
        self._stop_waiting()
        newest = self._newest()
        if self._in_body and self.pipeline:
            # The newest request is incomplete for good; those before it are not.
            self.pipeline.popleft()
        elif self._in_body and newest is not None:
            # For the application it is as if the client had left.
            _leave(newest)
            self._running = None
            if newest.response_started:
                self._close()
                return
        if self._is_answering():
            self._stop_after_answers()
        elif not self.transport.is_closing():
            self.transport.write(answer_bytes(problem, self.server_state.default_headers))
            self._finish()

    def _stop_after_answers(self) -> None:
        """Make the answer to the newest accepted request the last one."""
        newest = self._newest()
        if newest is not None:
            newest.keep_alive = False
        else:
            self._finish()

    def _finish(self) -> None:
        """Close the connection so that the client sees the answer although it still sends.

        Data that nobody reads would reset the connection, and the client might lose the answer.
        """
        if self.transport.is_closing():
            return
        self._refused = True
        self._left_bytes = DRAIN_BYTES
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._wait_for(_Waiting.REST_OF_BODY, DRAIN_S)

    def _close(self, *, abort_s: float | None = None) -> None:
        """Close the connection, also if the client does not read the rest of its answer."""
        self._stop_waiting()
        self.transport.close()
        self._timer = self.loop.call_later(abort_s or self.edge.limits.read_answer_s, self.transport.abort)

    # The timer

    def _wait_for(self, event: _Waiting, seconds: float) -> None:
        self._stop_waiting()
        self._waiting = event
        self._timer = self.loop.call_later(seconds, self._waited_too_long)

    def _stop_waiting(self) -> None:
        self._waiting = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _waited_too_long(self) -> None:
        # A client that sent nothing has no request to which an answer would belong.
        if self._waiting is _Waiting.HEADERS and self._in_headers:
            seconds = self.edge.limits.header_timeout_s
            self._refuse(
                Problem(
                    slug="request-timeout",
                    detail=f"the headers were not complete in {seconds:g} s",
                    allowed=f"{seconds:g} s",
                )
            )
        else:
            self._close()


def _leave(cycle: RequestResponseCycle) -> None:
    """Let the application know that the client of a request has left."""
    cycle.disconnected = True
    cycle.message_event.set()
    cycle.scope[PRESENCE].leave()  # type: ignore[literal-required]


def answer_bytes(problem: Problem, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return a whole answer, for a connection whose request no application sees."""
    request_id = uuid.uuid4().hex
    body = problem.body(request_id)
    lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode("ascii")]
    lines += [b"%b: %b" % header for header in headers]
    own = {"x-request-id": request_id, "content-length": str(len(body)), "connection": "close"}
    lines += [
        f"{name}: {value}".encode("latin-1") for name, value in {**problem.answer_headers(), **own}.items()
    ]
    return b"\r\n".join([*lines, b"", body])


def _malformed(detail: str, *, value: object = None, allowed: object = None) -> Problem:
    return Problem(
        slug="malformed-request",
        detail=f"the request cannot be read: {detail}",
        value=value,
        allowed=allowed,
    )


def _problem_of(error: httptools.HttpParserError) -> Problem:
    """Return what the parser found, or what one of the methods that it calls raised."""
    cause = error.__context__
    if isinstance(cause, Problem):
        return cause
    if isinstance(cause, httptools.HttpParserInvalidURLError):
        return _malformed("its target is not a path")
    if isinstance(error, httptools.HttpParserCallbackError) and cause is not None:
        log.error("a request was refused by a bug", exc_info=cause)
        return Problem(slug="internal-error", detail="the request could not be read because of a bug")
    return _malformed(str(error))
