"""Comparing an answer with the right one, whichever server gave it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def seems_right(body: bytes, expected: Mapping[str, Any]) -> bool:
    """Return whether the answer has the tags or scores of the expected one, to the last digit.

    `expected`: as `PeerModel.answer` returns it. The answer of this service has it under `models`.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    if isinstance(answer, dict) and "models" in answer:
        answer = {"model": expected["model"], **answer["models"].get(expected["model"], {})}
    if not isinstance(answer, dict):
        return False
    compared = ("digest", "tags" if "tags" in expected else "scores")
    return all(answer.get(key) == expected[key] for key in compared)
