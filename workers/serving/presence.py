"""The presence of the client of a request, for an application that waits for something else."""

from __future__ import annotations

from collections.abc import Callable

PRESENCE = "panopticon.presence"
"""The key in the scope of a request. ASGI's own way, `receive`, takes a task for each request that waits."""


class Presence:
    """The client of one request. Used by the event loop alone."""

    __slots__ = ("_watcher", "gone")

    def __init__(self) -> None:
        self.gone = False
        self._watcher: Callable[[], None] | None = None

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Have `watcher` called once the client leaves, at once if it has left; None: nobody any more."""
        self._watcher = watcher
        if self.gone and watcher is not None:
            watcher()

    def leave(self) -> None:
        """Record that the client has left."""
        self.gone = True
        if self._watcher is not None:
            self._watcher()
