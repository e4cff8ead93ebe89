"""The frames that the threads of a model process send."""

from __future__ import annotations

import threading

from workers.model_process.frames import Frame, FrameStream


class FrameWriter:
    """Sends frames from any thread. Each send wakes the parent."""

    def __init__(self, stream: FrameStream) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, *frames: Frame) -> None:
        """Send these frames one after another. Raises: PeerGone."""
        with self._lock:
            self._stream.send(frames)
