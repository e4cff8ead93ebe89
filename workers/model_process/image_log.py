"""The log of a model process: what any library logs or warns about, with the trace of the image at work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from workers.runtime.terminal_text import PrintableFormatter


class ImageLog(logging.Filter):
    """Knows the images that each thread works on, and names them in the records that the thread logs."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    def begin(self) -> None:
        """Write warnings to standard error from now on, those of the module `warnings` too."""
        handler = logging.StreamHandler()
        handler.addFilter(self)
        handler.setFormatter(PrintableFormatter("%(levelname)s model process: %(message)s%(trace)s"))
        logging.basicConfig(level=logging.WARNING, handlers=[handler])
        logging.captureWarnings(True)

    @contextmanager
    def about(self, traces: str) -> Iterator[None]:
        """Name these traces in every record that this thread logs in the block."""
        self._thread.traces = traces
        try:
            yield
        finally:
            self._thread.traces = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `trace`, the text that ends the line."""
        traces = getattr(self._thread, "traces", "")
        record.trace = f" (trace {traces})" if traces else ""
        return True
