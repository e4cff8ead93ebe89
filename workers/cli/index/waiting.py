"""Lines of `panopticon index` about images that it waits for, and about those that are tried again later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from panopticon.messages import rfc_3339
from panopticon.results.outputs import VersionName
from workers.cli.formatting import counted, lasting, place, utc
from workers.submission.index_plan import Remaining, Waiting

STALL_S = 10.0
MAX_NAMES = 5


class Stalls:
    """Finds the versions whose counts have not changed for `STALL_S` seconds. Times are monotonic."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[VersionName, tuple[int, float]] = {}
        self._reported: set[VersionName] = set()

    def lines(self, now: Remaining) -> list[str]:
        """Return a line about each version that has just stalled: its images, and until when they wait."""
        found = []
        for version, images in now.images.items():
            before, since_s = self._since.get(version, (-1, 0.0))
            if images != before:
                self._since[version] = images, self._clock()
                self._reported.discard(version)
            elif images and version not in self._reported and self._clock() - since_s >= STALL_S:
                self._reported.add(version)
                found.append(f"waiting for {_reason(now, version)}")
        return found


def waiting_lines(waiting: Mapping[VersionName, Waiting], *, now_ms: int) -> Iterator[str]:
    """Yield lines for people: how many images are tried again, when, by which command, and which ones."""
    for version, images in waiting.items():
        number = counted(images.images, "image")
        yield f"{number} could not be read by {version}; next try {_when(images, now_ms)}"
        yield f"  with the next panopticon index, or with a running panopticon worker --model {version}"
        messages = [message for message, _ in images.messages.values()]
        yield from (f"  {place(each.image_uri or each.image_id)}" for each in messages[:MAX_NAMES])
        if len(messages) > MAX_NAMES:
            yield f"  and {counted(len(messages) - MAX_NAMES, 'more', 'more')}"


def _when(images: Waiting, now_ms: int) -> str:
    due_ms = sorted(due_ms for _, due_ms in images.messages.values())
    if not due_ms:
        return "after the retry delay"
    first = f"in {lasting((due_ms[0] - now_ms) / 1000)} ({utc(due_ms[0])} UTC)"
    return first if len(due_ms) == 1 else f"{first}, of the last one at {utc(due_ms[-1])} UTC"


def waiting_json(waiting: Mapping[VersionName, Waiting]) -> list[dict[str, Any]]:
    """Return the value of the key `retrying` in the output of `--json`."""
    return [
        {"image_id": image_id, "model": str(version), "due_at": rfc_3339(due_ms)}
        for version, images in waiting.items()
        for image_id, (_, due_ms) in images.messages.items()
    ]


def _reason(now: Remaining, version: VersionName) -> str:
    leased, retrying = now.leased.get(version), now.retrying.get(version, 0)
    if leased is not None and leased.images:
        until = f", which ends or is renewed by {utc(leased.until_ms)} UTC" if leased.until_ms else ""
        return f"{counted(leased.images, 'image')} that a worker of {version} has on lease{until}"
    if now.images[version] == retrying:
        return f"the retry delay of {counted(retrying, 'image')} of {version}"
    return f"a worker of {version} to start with {counted(now.images[version], 'image')}"
