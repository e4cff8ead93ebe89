"""Run in another interpreter: which packages it lacks, and the protocol of its frames, as JSON.

It imports nothing but the standard library until nothing is lacking.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def lacking(requirements: str) -> list[str]:
    """Return the requirements, lines such as `numpy >= 1.26`, that this interpreter does not meet."""
    lines = [line.strip() for line in requirements.splitlines()]
    return [line for line in lines if line and not line.startswith("#") and not _is_met(line)]


def _is_met(requirement: str) -> bool:
    name, _, least = requirement.partition(" >= ")
    try:
        return _numbers(version(name)) >= _numbers(least)
    except PackageNotFoundError:
        return False


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)[:3]]


def main() -> None:
    """Print what the parent asks for."""
    lacks = lacking(Path(sys.argv[1]).read_text("utf-8"))
    protocol = None
    if not lacks:
        from workers.model_process.frames import PROTOCOL

        protocol = PROTOCOL
    sys.stdout.write(json.dumps({"lacking": lacks, "protocol": protocol}))


if __name__ == "__main__":
    main()
