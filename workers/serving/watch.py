"""A look at all served models, several times a second: probes, readiness, gauges, the log of changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from panopticon.metrics import Metrics
from panopticon.results.outputs import VersionName
from workers.serving.catalogue import ServedCatalogue
from workers.serving.readiness import Readiness, Report
from workers.serving.served_model import ModelState, ServedModel

log = logging.getLogger(__name__)

EVERY_S = 0.1


class Watch:
    """Looks at the served models. Used by the event loop alone."""

    def __init__(
        self,
        catalogue: ServedCatalogue,
        readiness: Readiness,
        *,
        metrics: Metrics,
        trouble: Callable[[], str | None],
    ) -> None:
        """`trouble` returns a remark for people about the tokens; None if there is none."""
        self._catalogue = catalogue
        self._readiness = readiness
        self._metrics = metrics
        self._trouble = trouble
        self._states: dict[VersionName, ModelState] = {}
        self._was_ready = False
        self.draining = False

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.look(now_s=loop.time())
            await asyncio.sleep(EVERY_S)

    def look(self, *, now_s: float) -> None:
        """Look once. `now_s`: monotonic time."""
        states: dict[VersionName, ModelState] = {}
        for served in self._catalogue:
            served.probe()
            states[served.version] = served.state
            if self._states.get(served.version) != served.state:
                _log_state(served)
            self._measure(
                served.version,
                waiting=served.waiting,
                under_way=served.gate.places,
                ready_replicas=served.ready_replicas,
            )
        for gone in self._states.keys() - states.keys():
            # A gauge keeps its last value, which would look as if the version still ran.
            self._measure(gone, waiting=0, under_way=0, ready_replicas=0)
        self._states = states
        ready = self._catalogue.is_ready
        if ready != self._was_ready and not self.draining:
            log.log(*_READY if ready else _NOT_READY)
            self._was_ready = ready
        trouble = self._trouble()
        self._readiness.show(
            Report(
                ready=ready,
                draining=self.draining,
                models={str(version): state.value for version, state in states.items()},
                remarks=(trouble,) if trouble else (),
                at_s=now_s,
            )
        )

    def _measure(self, version: VersionName, *, waiting: int, under_way: int, ready_replicas: int) -> None:
        model = str(version)
        self._metrics.set("panopticon_images_waiting", waiting, model=model)
        self._metrics.set("panopticon_images_under_way", under_way, model=model)
        self._metrics.set("panopticon_ready_replicas", ready_replicas, model=model)


_READY = (logging.INFO, "ready: every model answers")
_NOT_READY = (logging.WARNING, "not ready: a model does not answer; /health/ready shows which")


def _log_state(served: ServedModel) -> None:
    if served.down is not None:
        log.warning("%s: %s: %s", served.version, served.state.value, served.down)
    else:
        log.info("%s: %s", served.version, served.state.value)
