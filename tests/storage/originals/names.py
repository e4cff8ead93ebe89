"""Host names that resolve as a test demands. Only the resolver is replaced; connections are real."""

from __future__ import annotations

import socket
from collections import deque
from typing import Any

import pytest


class Names:
    """A resolver for the names given here; all others are resolved as usual."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._answers: dict[str, deque[tuple[str, ...]]] = {}
        self._really = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        self.asked: list[str] = []

    def resolve(self, name: str, *addresses: str) -> None:
        """Add an answer for a name; the last one is repeated for ever. No addresses: the name is unknown."""
        self._answers.setdefault(name, deque()).append(addresses)

    def _getaddrinfo(self, host: str, port: int, *rest: Any, **options: Any) -> Any:
        self.asked.append(host)
        answers = self._answers.get(host)
        if answers is None:
            return self._really(host, port, *rest, **options)
        addresses = answers.popleft() if len(answers) > 1 else answers[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            entry for address in addresses for entry in self._really(address, port, type=socket.SOCK_STREAM)
        ]
