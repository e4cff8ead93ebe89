"""A real nginx on loopback, with the file that we ship."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.servers.proxy import DEPLOY, Proxy
from tests.servers.requirements import require

SHIPPED = DEPLOY / "nginx" / "panopticon.conf"
NEEDED = "nginx is needed; on Debian and Ubuntu: apt install nginx-light"
WRITTEN = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx(Proxy):
    """nginx as one process: its workers hide their environment, by which the guardian finds what to end."""

    def _launch(self) -> subprocess.Popen[bytes]:
        included, settings = self.home / SHIPPED.name, self.home / "nginx.conf"
        included.write_text(self._replaced(SHIPPED))
        settings.write_text(settings_around(included, self.home))
        return self._spawn([nginx(), "-c", settings, "-g", "daemon off;"], os.environ)


def nginx() -> str:
    """Return the path of the program. It is in a folder that only root has in its path."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    require(found, NEEDED)
    return str(found)


def settings_around(included: Path, home: Path) -> str:
    """Return settings that include a file as Debian's do, with all that nginx writes in one folder."""
    paths = "\n".join(f"    {name}_temp_path {home}/{name};" for name in WRITTEN)
    # Processes of another user could not write there; only root may choose a user.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
{user}
master_process off;
pid {home}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log {home}/access.log;
{paths}
    include {included};
}}
"""
