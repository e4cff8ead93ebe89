"""A real HAProxy on loopback, with the file that we ship."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from tests.servers.proxy import DEPLOY, Proxy
from tests.servers.requirements import require

SHIPPED = DEPLOY / "haproxy" / "haproxy.cfg"
NEEDED = "HAProxy is needed; on Debian and Ubuntu: apt install haproxy"
ONLY_ROOT = re.compile(r"^ +(?:user|group|chroot) .*\n", re.MULTILINE)


class HAProxy(Proxy):
    """HAProxy, in the foreground."""

    def _launch(self) -> subprocess.Popen[bytes]:
        # Abstract sockets are addresses too, common to the whole machine.
        text = self._replaced(SHIPPED).replace("abns@panopticon-", f"abns@panopticon-{self.port}-")
        settings = self.home / SHIPPED.name
        settings.write_text(text if os.geteuid() == 0 else ONLY_ROOT.sub("", text))
        return self._spawn([haproxy(), "-db", "-f", settings], os.environ)


def haproxy() -> str:
    """Return the path of the program. It is in a folder that only root has in its path."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    require(found, NEEDED)
    return str(found)
