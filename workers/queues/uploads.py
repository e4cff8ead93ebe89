"""What tells an upload from a delete, on every broker."""

from __future__ import annotations

import json


def is_delete(body: bytes) -> bool:
    """Whether a body says so. What cannot be read goes to every queue, to be refused there."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.get("event") == "deleted"
