"""A real nginx on loopback, with the file that we ship."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.ports import free_ports, is_listening
from tests.servers.process import ServerProcess
from tests.servers.requirements import require

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx" / "panopticon.conf"
NEEDED = "nginx is needed; on Debian and Ubuntu: apt install nginx-light"


class Nginx(ServerProcess):
    """nginx in front of two hosts."""

    START_S = 20.0

    def __init__(self, home: Path, hosts: Sequence[int]) -> None:
        """`hosts`: the ports of two services on 127.0.0.1."""
        super().__init__(home)
        self._hosts = hosts
        (self.port,) = free_ports(1)

    def replaced(self) -> str:
        """Return the shipped file with our addresses."""
        text = SHIPPED.read_text("utf-8").replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        for number, port in enumerate(self._hosts, 11):
            text = text.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{port}")
        return text

    def _launch(self) -> subprocess.Popen[bytes]:
        (self.home / SHIPPED.name).write_text(self.replaced())
        settings = self.home / "nginx.conf"
        settings.write_text(settings_around(self.home / SHIPPED.name, self.home))
        return self._spawn([nginx(), "-c", settings, "-g", "daemon off;"], os.environ)

    def _answers(self) -> bool:
        return is_listening(self.port)


def nginx() -> str:
    """Return the path of the program. It is in a folder that only root has in its path."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    require(found, NEEDED)
    return str(found)


def settings_around(included: Path, home: Path) -> str:
    """Return settings that include a file as Debian's do, with all that nginx writes in one folder."""
    written = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"    {name}_temp_path {home}/{name};" for name in written)
    # Root's workers must be able to write there, too; other users cannot choose a user.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
{user}
worker_processes 2;
pid {home}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log {home}/access.log;
{paths}
    include {included};
}}
"""
