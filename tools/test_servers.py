"""`python -m tools.test_servers`: install the system packages that the servers of the tests need.

As root on Debian or Ubuntu it prints what it installs, and installs it. Elsewhere it prints the command and
ends without an error; the tests that need a package then fail in CI, and are skipped elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "rabbitmq-server": Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    "prometheus": Path("/usr/bin/promtool"),
    "maven": Path("/usr/bin/mvn"),
    "curl": Path("/usr/bin/curl"),
    "dnsmasq-base": Path("/usr/sbin/dnsmasq"),
    "nginx-light": Path("/usr/sbin/nginx"),
    "haproxy": Path("/usr/sbin/haproxy"),
}


def main() -> int:
    """Return the exit code."""
    missing = [
        name
        for name, program in PACKAGES.items()
        if not program.exists() and shutil.which(program.name) is None
    ]
    if not missing:
        return 0
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if os.geteuid() or not shutil.which("apt-get"):
        sys.stderr.write(f"The tests of the servers need: {' '.join(command)}\n")
        return 0
    sys.stderr.write(f"Installing for the tests: {', '.join(missing)}\n")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=False, env=environ, stdout=subprocess.DEVNULL)
    return subprocess.run(command, check=False, env=environ, stdout=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
