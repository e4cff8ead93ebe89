"""The memory of this machine's GPU, as its driver's own program reports it."""

from __future__ import annotations

import subprocess

COMMAND = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
TIMEOUT_S = 10.0


def gpu_total_mb() -> int | None:
    """Return the memory in MB, of the smallest of several GPUs; None without a GPU or its driver."""
    try:
        done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        return min(int(line) for line in done.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
