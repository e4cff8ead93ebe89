"""Install the system packages of the tests' servers: `python -m tools.test_servers`.

As root on Debian or Ubuntu it names the missing packages and installs them. Elsewhere it prints the command
and exits with code 0; the tests of the servers then fail under CI, and are skipped elsewhere.
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
}


def main() -> int:
    """Run the program and return its exit code."""
    missing = [
        name for name, program in PACKAGES.items() if not program.exists() and not shutil.which(program.name)
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
