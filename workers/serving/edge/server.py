"""Listening for HTTP, and stopping without losing a request."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from panopticon.metrics import Metrics
from workers.serving.edge.address import TakenAddress
from workers.serving.edge.limits import Edge, EdgeLimits
from workers.serving.edge.protocol import CLOSE_S, EdgeProtocol

BACKLOG = 2048
DATE_EVERY_S = 1.0
LOOK_EVERY_S = 0.02
LINGER_S = 2.0
"""Time in which the request on a connection that was accepted last may arrive."""

log = logging.getLogger(__name__)


class HttpServer:
    """One listening address, in the event loop that calls `start`. Signals are left to the program.

    `start`, then `drain` while clients learn that it stops, then `stop`.
    """

    def __init__(
        self,
        app: ASGIApp,
        address: TakenAddress,
        limits: EdgeLimits,
        *,
        metrics: Metrics,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._app = app
        self._tls = tls
        self._address = address
        self._servers: list[asyncio.Server] = []
        self._tick: asyncio.TimerHandle | None = None
        self._is_cutting_off = False
        self._state = ServerState()
        self.edge = Edge(limits=limits, metrics=metrics)

    @property
    def url(self) -> str:
        """Return the address, as a client writes it."""
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self._address.port}"

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._state.connections)

    async def start(self) -> None:
        """Listen, and answer.

        Raises: UsageError if the system does not let it.
        """
        loop = asyncio.get_running_loop()
        config = Config(
            self._guarded,
            http=EdgeProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            # X-Forwarded-For is what any client writes.
            proxy_headers=False,
            server_header=False,
            workers=1,
        )
        config.load()
        self._write_date(loop)

        def protocol() -> EdgeProtocol:
            return EdgeProtocol(config, self._state, {}, loop, edge=self.edge)

        limits, tls = self.edge.limits, self._tls
        # uvloop listens too, but reports no error of it.
        self._address.listen(BACKLOG)
        for each in self._address.sockets:
            server = await loop.create_server(
                protocol,
                sock=each,
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=limits.header_timeout_s if tls else None,
                # The rest of an answer is sent in this time too.
                ssl_shutdown_timeout=limits.read_answer_s if tls else None,
            )
            self._servers.append(server)

    def drain(self) -> None:
        """Go on serving, and make every answer the last one of its connection (`Connection: close`)."""
        self.edge.draining = True
        for each in self.protocols():
            each.drain()

    async def stop(self, *, limit_s: float) -> int:
        """Take no new connections, close idle ones, and finish the requests that are in flight.

        Returns how many requests were cut off after `limit_s`.
        """
        self.edge.draining = True
        for server in self._servers:
            server.close()
        # On a connection that was accepted just now, the request may not have arrived yet. It would be closed
        # as an idle one, and its client would get no answer.
        await self._until(lambda: not self._state.connections, min(LINGER_S, limit_s))
        for each in self.protocols():
            each.shutdown()
        await self._until(lambda: not self._state.connections and not self._state.tasks, limit_s)
        cut_off = len(self._state.tasks)
        if cut_off:
            log.warning("requests cut off, since they did not end in %g s: %d", limit_s, cut_off)
        self._is_cutting_off = True
        for each in self.protocols():
            each.transport.abort()
        # The application sees that its client has left, and may end by itself.
        await self._until(lambda: not self._state.connections, CLOSE_S)
        for task in [*self._state.tasks]:
            task.cancel()
        await self._until(lambda: not self._state.tasks, CLOSE_S)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        self._address.close()
        if self._tick is not None:
            self._tick.cancel()
        return cut_off

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # Otherwise uvicorn would log each request that is cut off as an exception.
            if not self._is_cutting_off:
                raise

    def protocols(self) -> list[EdgeProtocol]:
        return [each for each in self._state.connections if isinstance(each, EdgeProtocol)]

    def _write_date(self, loop: asyncio.AbstractEventLoop) -> None:
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode("ascii"))]
        self._tick = loop.call_later(DATE_EVERY_S, self._write_date, loop)

    @staticmethod
    async def _until(condition: Callable[[], bool], limit_s: float) -> None:
        end_s = time.monotonic() + limit_s
        while not condition() and time.monotonic() < end_s:
            await asyncio.sleep(LOOK_EVERY_S)
