"""Taking the address of a service, and the open files that its connections need, before it listens."""

from __future__ import annotations

import errno
import resource
import socket
from dataclasses import dataclass

from panopticon.errors import UsageError

OTHER_FILES = 256
"""Open files beyond the connections: stores, queues, model processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenAddress:
    """An address that no other program can take any more. Nothing listens on it yet: `listen` does."""

    host: str
    port: int
    sockets: tuple[socket.socket, ...]
    """One for each address that the name of the host stands for."""

    def listen(self, backlog: int) -> None:
        """Listen on every socket. Raises: UsageError if the system does not let it."""
        for each in self.sockets:
            try:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                each.listen(backlog)
            except OSError as error:
                raise _refusal(self.host, self.port, error) from None

    def close(self) -> None:
        """Leave the address to others."""
        for each in self.sockets:
            each.close()


def take_address(host: str, port: int) -> TakenAddress:
    """Take an address. Port 0 takes any free one.

    Raises: UsageError if that is not possible.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UsageError(f"http_host {host}: not an address or a name of this machine") from None
    sockets: list[socket.socket] = []
    refusals = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        # With port 0, `localhost` has the same port on IPv4 and IPv6.
        wanted = (address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:])
        try:
            sockets.append(_bound(socket.socket(family, kind, protocol), wanted))
        except OSError as error:
            refusals.append(error)
    # A machine without IPv6 has a name for ::1 all the same.
    in_use = [error for error in refusals if error.errno == errno.EADDRINUSE]
    if in_use or not sockets:
        for each in sockets:
            each.close()
        raise _refusal(host, port, (in_use or refusals)[0])
    taken_host, taken_port = sockets[0].getsockname()[:2]
    return TakenAddress(host=taken_host, port=taken_port, sockets=tuple(sockets))


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


def _bound(made: socket.socket, address: tuple[object, ...]) -> socket.socket:
    """Bind a socket. Raises: OSError, and closes it."""
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        # It lets a service start while connections of the one before it end, but it would let another program
        # take the address too, until one of them listens.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        made.close()
        raise
    return made


def _refusal(host: str, port: int, error: OSError) -> UsageError:
    """Return the error for an address that cannot be taken, or on which one cannot listen."""
    if error.errno == errno.EADDRINUSE:
        text = f"http_port {port}: another program listens on {host}:{port}; stop it, or choose another port"
    elif error.errno == errno.EADDRNOTAVAIL:
        text = f"http_host {host}: not an address of this machine"
    elif error.errno == errno.EACCES:
        text = f"http_port {port}: this user may not take it; choose one from 1024 on"
    else:
        text = f"http_host {host}, http_port {port}: cannot listen: {error.strerror}"
    return UsageError(text)
