"""The name of the user and host that change the registry."""

from __future__ import annotations

import os
import socket


def who() -> str:
    """Return `user@host`, as the registry's history and a backfill's record name the person at work."""
    return f"{os.environ.get('USER', os.getuid())}@{socket.gethostname()}"
