"""The name of a process, from which other processes on its machine can see whether it has ended.

It consists of the machine, the process ID and the time of the process's start, because IDs are used again. On
Linux the machine is the running kernel and the namespace of process IDs, so that a name from another host,
from another container or from before a reboot is not mistaken for one of this machine.
"""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_ENDED_STATES = "ZX"
"""States of a process that has ended and whose parent has not read its exit status: zombie, dead."""


def this_process() -> str:
    """Return the name of this process."""
    pid = os.getpid()
    return "/".join((_machine(), str(pid), _start(pid) or "?"))


def has_ended(holder: str) -> bool:
    """Return True only if the process is of this machine and has certainly ended."""
    machine, _, rest = holder.partition("/")
    pid, _, start = rest.partition("/")
    if machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        # It is there, and belongs to another user.
        pass
    found = _start(int(pid))
    # Where `/proc` hides the processes of other users, nothing is certain.
    return found is not None and start not in ("?", found)


def _machine() -> str:
    with suppress(OSError):
        return f"{_BOOT_ID.read_text().strip()}:{_NAMESPACE.stat().st_ino}"
    return f"{socket.gethostname()}:{uuid.getnode():x}"


def _start(pid: int) -> str | None:
    """Return the start of a process in clock ticks since the boot, which no change of the clock alters.

    Empty for a zombie; None if `/proc` does not show the process.
    """
    try:
        # The name of the program, in parentheses, may contain anything.
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return "" if state in _ENDED_STATES else fields[18]
