"""Pausing a process: the signal alone returns before all its threads have stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

STOPPED_S = 10.0


def stop_still(process: subprocess.Popen[bytes]) -> None:
    """Send SIGSTOP; return when all its threads have stopped."""
    process.send_signal(signal.SIGSTOP)
    until_s = time.monotonic() + STOPPED_S
    while not all(_is_stopped(process.pid, thread) for thread in os.listdir(f"/proc/{process.pid}/task")):
        assert time.monotonic() < until_s, f"process {process.pid} did not stop"
        time.sleep(0.001)


def _is_stopped(pid: int, thread: str) -> bool:
    """Return whether a thread has stopped or ended."""
    try:
        stat = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "TtZX"
