"""Changing one record of the store while others may change it too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from panopticon.errors import Unavailable

MAX_TRIES = 20

Before = TypeVar("Before")
After = TypeVar("After")


def swap_with_retries(
    read: Callable[[], Before],
    swap: Callable[[Before, After], bool],
    change: Callable[[Before], After],
    *,
    record: str,
) -> tuple[Before, After]:
    """Read a record, change it and swap it in, again from the start if somebody else wrote it meanwhile.

    Return the record as it was and as it is now. Where `change` returns the very object that it was given,
    nothing is written. `change` may be called `MAX_TRIES` times. `record` names the record in the error.
    Raises: Unavailable if somebody else was first in each of those tries; whatever the callables raise.
    """
    for _ in range(MAX_TRIES):
        before = read()
        after = change(before)
        if after is before or swap(before, after):
            return before, after
    raise Unavailable("store", f"{record} kept changing: {MAX_TRIES} attempts to write it failed")
