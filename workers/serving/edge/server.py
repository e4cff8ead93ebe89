"""Listening for HTTP, and stopping without losing a request."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from panopticon.errors import UsageError
from panopticon.metrics import Metrics
from workers.serving.edge.limits import Edge, EdgeLimits
from workers.serving.edge.protocol import CLOSE_S, EdgeProtocol

BACKLOG = 2048
DATE_EVERY_S = 1.0
LOOK_EVERY_S = 0.02
LINGER_S = 2.0
"""Time in which the request on a connection that was accepted last may arrive."""
OTHER_FILES = 256
"""Open files beyond the connections: stores, queues, model processes."""

log = logging.getLogger(__name__)


class HttpServer:
    """One listening address, in the event loop that calls `start`. Signals are left to the program.

    `bind`, then `start`, then `drain` while clients learn that it stops, then `stop`.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: EdgeLimits,
        *,
        metrics: Metrics,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._app = app
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._host = ""
        self._tick: asyncio.TimerHandle | None = None
        self._is_cutting_off = False
        self._state = ServerState()
        self.edge = Edge(limits=limits, metrics=metrics)
        self.port = 0
        """The port that was taken."""

    def bind(self, host: str, port: int) -> None:
        """Take the address, without listening yet. Port 0 takes any free one.

        Raises: UsageError if that is not possible.
        """
        allow_open_files(self.edge.limits.max_connections)
        try:
            found = socket.getaddrinfo(
                host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (OSError, UnicodeError):
            raise UsageError(f"http_host {host}: not an address or a name of this machine") from None
        refusals = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            # With port 0, `localhost` has the same port on IPv4 and IPv6.
            wanted = (address[0], self.port if self._sockets else port, *address[2:])
            try:
                made = _bound(socket.socket(family, kind, protocol), wanted)
            except OSError as error:
                refusals.append(error)
                continue
            if not self._sockets:
                self._host, self.port = made.getsockname()[:2]
            self._sockets.append(made)
        # A machine without IPv6 has a name for ::1 all the same.
        in_use = [error for error in refusals if error.errno == errno.EADDRINUSE]
        if in_use or not self._sockets:
            self._close_sockets()
            raise UsageError(_refusal(host, port, (in_use or refusals)[0]))

    @property
    def url(self) -> str:
        """Return the address that was taken, as a client writes it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._state.connections)

    async def start(self) -> None:
        """Listen, and answer."""
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
        for each in self._sockets:
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
        self._close_sockets()
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

    def _close_sockets(self) -> None:
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    @staticmethod
    async def _until(condition: Callable[[], bool], limit_s: float) -> None:
        end_s = time.monotonic() + limit_s
        while not condition() and time.monotonic() < end_s:
            await asyncio.sleep(LOOK_EVERY_S)


def _bound(made: socket.socket, address: tuple[object, ...]) -> socket.socket:
    """Bind a socket. Raises: OSError, and closes it."""
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"http_port {port}: another program listens on {host}:{port}; stop it, or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"http_host {host}: not an address of this machine"
    if error.errno == errno.EACCES:
        return f"http_port {port}: this user may not take it; choose one from 1024 on"
    return f"http_host {host}, http_port {port}: cannot listen: {error.strerror}"


def allow_open_files(connections: int) -> None:
    """Raise the soft limit of open files to what the connections need.

    Raises: UsageError if the hard limit is lower.
    """
    needed = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UsageError(
            f"max_connections {connections}: needs {needed} open files, this process may have {hard}; raise "
            f"the limit (ulimit -n, LimitNOFILE), or set max_connections to {max(hard - OTHER_FILES, 1)}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
