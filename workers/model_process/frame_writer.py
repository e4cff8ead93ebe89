"""The frames that the threads of a model process send."""

from __future__ import annotations

import threading

from panopticon.scheduling.dispatch import Phase
from workers.model_process.frames import Frame, FrameStream, StartedFrame


class FrameWriter:
    """Sends frames from any thread. What is not urgent waits for other frames: each send wakes the parent."""

    def __init__(self, stream: FrameStream) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._held: list[Frame] = []

    def send(self, *frames: Frame) -> None:
        """Send what was held, then these. Raises: PeerGone."""
        with self._lock:
            held, self._held = self._held, []
            self._stream.send((*held, *frames))

    def started(self, ids: tuple[int, ...], phase: Phase) -> None:
        """Report that these items have entered a phase. Raises: PeerGone."""
        frame = StartedFrame(ids=ids, phase=phase)
        # The parent must know of a phase before it begins only if the phase can kill this process.
        if phase in (Phase.DECODE, Phase.RUN):
            self.send(frame)
            return
        with self._lock:
            self._held.append(frame)
