"""The name of the user and host that change the registry."""

from __future__ import annotations

import os
import pwd
import socket


def who() -> str:
    """Return `user@host`, as the registry's history and a backfill's record name the person at work."""
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    # cron, systemd and containers set no USER, and in a container the ID may belong to no account.
    if user := os.environ.get("USER"):
        return user
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
