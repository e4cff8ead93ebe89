"""The base class of the real proxies that tests put in front of two hosts, with a file that we ship."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.servers.ports import free_ports, is_listening
from tests.servers.process import ServerProcess

DEPLOY = Path(__file__).parents[2] / "deploy"


class Proxy(ServerProcess):
    """One proxy in front of two hosts."""

    START_S = 20.0

    def __init__(self, home: Path, hosts: Sequence[int]) -> None:
        """`hosts`: the ports of two services on 127.0.0.1."""
        super().__init__(home)
        self._hosts = hosts
        (self.port,) = free_ports(1)

    def _replaced(self, shipped: Path) -> str:
        """Return a shipped file with our addresses."""
        text = shipped.read_text("utf-8").replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        for number, port in enumerate(self._hosts, 11):
            text = text.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{port}")
        return text

    def _answers(self) -> bool:
        return is_listening(self.port)
