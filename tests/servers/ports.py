"""Free ports of this machine's loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence

PORTS = range(20_000, 32_000)
"""Below those that Linux gives to clients, so that nobody takes the port of a server that is down."""


def free_ports(count: int, *, hosts: Sequence[str] = ("127.0.0.1",)) -> list[int]:
    """Return so many ports, each free on all of these addresses."""
    free = (port for port in random.sample(PORTS, len(PORTS)) if all(_is_free(host, port) for host in hosts))
    return [next(free) for _ in range(count)]


def is_listening(port: int) -> bool:
    """Return whether something accepts connections on this port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def _is_free(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True
