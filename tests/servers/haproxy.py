"""A real HAProxy on loopback, with the file that we ship."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.ports import free_ports, is_listening
from tests.servers.process import ServerProcess
from tests.servers.requirements import require

SHIPPED = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
NEEDED = "HAProxy is needed; on Debian and Ubuntu: apt install haproxy"
ONLY_ROOT = re.compile(r"^ +(?:user|group|chroot) .*\n", re.MULTILINE)


class HAProxy(ServerProcess):
    """HAProxy in front of two hosts."""

    START_S = 20.0

    def __init__(self, home: Path, hosts: Sequence[int]) -> None:
        """`hosts`: the ports of two services on 127.0.0.1."""
        super().__init__(home)
        self._hosts = hosts
        (self.port,) = free_ports(1)

    def replaced(self) -> str:
        """Return the shipped file with our addresses, abstract sockets among them."""
        text = SHIPPED.read_text("utf-8").replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        for number, port in enumerate(self._hosts, 11):
            text = text.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{port}")
        text = text.replace("abns@panopticon-", f"abns@panopticon-{self.port}-")
        return text if os.geteuid() == 0 else ONLY_ROOT.sub("", text)

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = self.home / SHIPPED.name
        settings.write_text(self.replaced())
        return self._spawn([haproxy(), "-db", "-f", settings], os.environ)

    def _answers(self) -> bool:
        return is_listening(self.port)


def haproxy() -> str:
    """Return the path of the program. It is in a folder that only root has in its path."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    require(found, NEEDED)
    return str(found)
