"""Which step each image has reached, over a pipe that wakes nobody: the parent reads it when it must.

As frames of the socket, these reports woke the parent two or three times for each image. What was written is
still there when the writer is dead, which is what it is for.
"""

from __future__ import annotations

import os
import threading

from panopticon.scheduling.dispatch import Phase
from workers.model_process.frames import FrameDecoder, FrameEncoder, FrameError, PeerGone, StartedFrame

_READ_BYTES = 64 * 1024


class ProgressWriter:
    """Writes from any thread of the model process, and waits while the pipe is full."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._encoder = FrameEncoder()
        self._lock = threading.Lock()

    def started(self, ids: tuple[int, ...], phase: Phase) -> None:
        """Report that these items have entered a phase. Raises: PeerGone."""
        with self._lock:
            rest = self._encoder.encode(StartedFrame(ids=ids, phase=phase))
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                raise PeerGone(str(error)) from None


class ProgressReader:
    """The parent's end of the pipe, which it owns."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._decoder = FrameDecoder()

    def read(self) -> list[StartedFrame]:
        """Return what was reported since the last call, without waiting. Raises: FrameError."""
        frames: list[StartedFrame] = []
        try:
            while piece := os.read(self._descriptor, _READ_BYTES):
                for frame in self._decoder.feed(piece):
                    if not isinstance(frame, StartedFrame):
                        raise FrameError(f"a report of progress of the type {frame.type}")
                    frames.append(frame)
        except BlockingIOError:
            pass
        return frames

    def close(self) -> None:
        os.close(self._descriptor)
