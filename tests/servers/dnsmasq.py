"""A real DNS server on loopback: dnsmasq, with the SRV records of one zone."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.ports import free_ports
from tests.servers.process import ServerProcess
from tests.servers.requirements import require

ZONE = "example.test"
NAME = f"_panopticon._tcp.{ZONE}"
# One question for the address of the zone, of the ID 7, with recursion desired.
QUESTION = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\x07example\x04test\x00" + struct.pack(">2H", 1, 1)


class Dnsmasq(ServerProcess):
    """One server for `example.test`; it knows no other zone, and asks nobody."""

    START_S = 20.0

    def __init__(self, home: Path, *, ttl_s: int = 60) -> None:
        super().__init__(home)
        self.records: Sequence[str] = ()
        """Target, port, priority and weight of each SRV record of `NAME`, which the next start serves."""
        self.ttl_s = ttl_s
        (self.port,) = free_ports(1)

    @property
    def resolver(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _launch(self) -> subprocess.Popen[bytes]:
        # Debian has it in a folder that is not on the path of every user.
        program = shutil.which("dnsmasq", path=f"{os.environ['PATH']}:/usr/sbin")
        require(program, "DNS needs dnsmasq; on Debian and Ubuntu: apt install dnsmasq-base")
        options = [
            *("--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--pid-file="),
            *("--no-hosts", "--no-resolv", "--no-poll", "--user=", "--bind-interfaces"),
            *("--listen-address=127.0.0.1", f"--port={self.port}", f"--local=/{ZONE}/"),
            f"--local-ttl={self.ttl_s}",
        ]
        served = [f"--srv-host={NAME},{record}" for record in self.records]
        return self._spawn([str(program), *options, *served], os.environ)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.5)
            try:
                asking.connect(("127.0.0.1", self.port))
                asking.send(QUESTION)
                return asking.recv(512)[:2] == QUESTION[:2]
            except OSError:
                return False
