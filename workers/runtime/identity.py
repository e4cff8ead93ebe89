"""The user and host that the registry's history names."""

from __future__ import annotations

import os
import socket


def who() -> str:
    """Who is named in the registry's history."""
    return f"{os.environ.get('USER', os.getuid())}@{socket.gethostname()}"
