"""The state of the service, alive and ready or not, as a value that any thread can read."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from panopticon.errors import UsageError
from panopticon.metrics import Metrics

STALE_S = 10.0
"""The event loop reports several times a second; after this time without a report it hangs."""
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One look at the service."""

    ready: bool
    draining: bool = False
    models: Mapping[str, str] = field(default_factory=dict)
    """The state of each served version."""
    remarks: tuple[str, ...] = ()
    """Remarks for people, though the service is ready."""
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """The answer to a probe."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Readiness:
    """The latest report. The event loop writes it; any thread reads it."""

    def __init__(self, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._report = Report(ready=False, at_s=clock())

    def show(self, report: Report) -> None:
        """Replace the report."""
        self._report = report

    def answer(self, path: str) -> ProbeAnswer | None:
        """Return the answer to a probe of this path; None for any other path."""
        report = self._report
        is_hanging = self._clock() - report.at_s > STALE_S
        match path:
            case "/health/live":
                status = "hanging" if is_hanging else "live"
                return ProbeAnswer(status=503 if is_hanging else 200, body=_json({"status": status}))
            case "/health/ready":
                ready = report.ready and not is_hanging and not report.draining
                status = "draining" if report.draining else "ready" if ready else "not ready"
                content = {"status": status, "models": dict(report.models), "remarks": list(report.remarks)}
                return ProbeAnswer(status=200 if ready else 503, body=_json(content))
            case "/metrics":
                return ProbeAnswer(status=200, body=self._metrics.text(), content_type=METRICS_TYPE)
        return None


def _json(content: Mapping[str, object]) -> bytes:
    return json.dumps(content).encode()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log no client that breaks its connection off, as some load balancers do after each look."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class ProbeServer:
    """Answers probes on a port and in threads of its own, whatever the event loop does."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._server: ThreadingHTTPServer | None = None

    def start(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises: UsageError if this machine does not let it."""
        readiness = self._readiness

        class Handler(BaseHTTPRequestHandler):
            timeout = 5.0

            def do_GET(self) -> None:
                answer = readiness.answer(self.path.partition("?")[0])
                if answer is None:
                    answer = ProbeAnswer(status=404, body=b'{"status": "not found"}')
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                """Log no probe."""

        try:
            self._server = _Server((host, port), Handler)
        except OSError as error:
            raise UsageError(
                f"probe_port {port}: cannot listen on {host}:{port}: {error.strerror}; choose another port"
            ) from None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="probes", daemon=True).start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
