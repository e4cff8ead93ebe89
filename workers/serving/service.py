"""The HTTP service, put together from the settings."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import uvicorn

from panopticon.cards.cards import ModelCard
from panopticon.metrics import Metrics
from panopticon.models import find_card
from panopticon.models.weights import refuse_altered_weights
from panopticon.results.outputs import VersionName
from panopticon.scheduling.gate import Gate
from panopticon.settings import Settings
from workers.model_process.client import ModelClient
from workers.worker.run import prepare_model
from workers.serving.api.analyze import Analyze
from workers.serving.api.app import ApiRoute, by_method, probe_routes, problem_routes, router_of
from workers.serving.api.entry import Entry
from workers.serving.api.models import Models
from workers.serving.catalogue import ServedCatalogue
from workers.serving.coordinator import Coordinator
from workers.serving.edge.joined_writes import JoinedWritesProtocol
from workers.serving.policies import Policies
from workers.serving.readiness import ProbeServer, Readiness, Report
from workers.serving.replica import Replica, Turn
from workers.serving.served_model import ServedModel

log = logging.getLogger(__name__)

TICK_S = 0.1
ENDING_S = 5.0
"""Time for the model processes to end."""
LINGER_S = 2.0
"""Time in which requests are still answered that come on a connection which is open already."""


class Service:
    """One HTTP service: its models, its API and its probes. `run` blocks until it has drained."""

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: Metrics,
        stopping: Callable[[], bool],
        listening: Callable[[str], None],
    ) -> None:
        """`stopping` returns True once the service is to drain; `listening` is called with its URL."""
        self._settings = settings
        self._metrics = metrics
        self._stopping = stopping
        self._listening = listening
        self._policies = Policies(settings)
        self._readiness = Readiness(metrics)
        self._probes = ProbeServer(self._readiness)
        self._draining = False

    def run(self, cards: Sequence[ModelCard]) -> None:
        """Serve these versions until `stopping`, then drain.

        Raises: UsageError for a mistake in the settings or a card, and Unavailable, before it listens.
        """
        for card in cards:
            self._prepare(card)
        self._policies.read(cards)
        if self._settings.probe_port is not None:
            self._probes.start(self._settings.http_host, self._settings.probe_port)
        # A bug in a thread must not leave a service that is half alive.
        threading.excepthook = _end_loudly
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(self._serve(cards))
        self._probes.close()

    def card_of(self, version: VersionName) -> ModelCard:
        """Return the card of a version with all that its processes need. Raises: UsageError."""
        card = find_card(version, self._settings.models_dir)
        self._prepare(card)
        return card

    def _prepare(self, card: ModelCard) -> None:
        refuse_altered_weights(card)
        prepare_model(card, self._settings)

    async def _serve(self, cards: Sequence[ModelCard]) -> None:
        loop = asyncio.get_running_loop()
        catalogue = ServedCatalogue(
            serve=partial(self._served, loop),
            active=self._policies.active,
            unload_timeout_s=self._settings.request_timeout_s,
            changed=lambda served: self._policies.watch([each.card for each in served]),
        )
        for card in cards:
            catalogue.load(card)
        self._policies.start()
        server = self._server(catalogue)
        watching = loop.create_task(self._watch(server, catalogue))
        try:
            await server.serve()
        finally:
            watching.cancel()
            catalogue.close()
            await asyncio.to_thread(catalogue.join, ENDING_S)
            await asyncio.to_thread(self._policies.close)

    def _served(self, loop: asyncio.AbstractEventLoop, card: ModelCard) -> ServedModel:
        def make(report: Callable[[Replica, Turn], None]) -> list[Replica]:
            def on_loop(replica: Replica, turn: Turn) -> None:
                loop.call_soon_threadsafe(report, replica, turn)

            return [
                Replica(
                    ModelClient(card, self._settings, metrics=self._metrics),
                    name=f"{card.version_name}/{number}",
                    report=on_loop,
                )
                for number in range(self._settings.replicas)
            ]

        gate = Gate(max_places=self._settings.gate, max_bytes=self._settings.gate_bytes)
        return ServedModel(card, replicas=make, gate=gate, metrics=self._metrics)

    def _server(self, catalogue: ServedCatalogue) -> Server:
        settings = self._settings
        models = Models(catalogue, self._policies, prepare=self.card_of)
        analyze = Analyze(
            catalogue=catalogue,
            coordinator=Coordinator(self._policies),
            gate=Gate(max_places=settings.service_gate, max_bytes=settings.service_gate_bytes),
            settings=settings,
        )
        router = router_of(
            [
                ApiRoute("/v1/analyze", analyze, methods=["POST"]),
                ApiRoute("/v1/models", models.list, methods=["GET"]),
                ApiRoute(
                    "/v1/models/{name}",
                    by_method({"GET": models.show, "PUT": models.load, "DELETE": models.unload}),
                    methods=["GET", "PUT", "DELETE"],
                ),
                *probe_routes(self._readiness),
                *problem_routes(),
            ]
        )
        entry = Entry(
            router, check=_open_to_all, metrics=self._metrics, draining=lambda: self._draining
        )
        config = uvicorn.Config(
            entry, host=settings.http_host, port=settings.http_port, loop="uvloop", http=JoinedWritesProtocol, lifespan="off", access_log=False, log_level="warning", timeout_keep_alive=math.ceil(settings.keep_alive_s)
        )
        return Server(config)

    async def _watch(self, server: Server, catalogue: ServedCatalogue) -> None:
        """Probe the models and report on them; once stopping, drain and then end the server."""
        loop = asyncio.get_running_loop()
        drain_until_s: float | None = None
        announced = False
        while True:
            for served in catalogue:
                served.probe()
            self._readiness.show(
                Report(
                    ready=server.started and all(served.ready_replicas for served in catalogue),
                    draining=self._draining,
                    models={str(served.version): served.state.value for served in catalogue},
                    at_s=loop.time(),
                )
            )
            if server.started and not announced:
                announced = True
                port = server.servers[0].sockets[0].getsockname()[1]
                self._listening(f"http://{self._settings.http_host}:{port}")
            if self._stopping() and drain_until_s is None:
                self._draining = True
                drain_until_s = loop.time() + self._settings.drain_s
                log.info("draining: not ready any more; requests are accepted for %g s", self._settings.drain_s)
            if drain_until_s is not None and loop.time() >= drain_until_s:
                server.should_exit = True
            await asyncio.sleep(TICK_S)


class Server(uvicorn.Server):
    """A server that leaves the signals to the program: uvicorn's own handlers would end it without draining."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Do nothing."""
        return nullcontext()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, answer what is under way, then close the connections that are idle."""
        for server in self.servers:
            server.close()
        # On a connection that was accepted just now, the request may not have arrived yet. uvicorn would close
        # it as an idle one, and the client would get no answer.
        until_s = time.monotonic() + LINGER_S
        while self.server_state.connections and time.monotonic() < until_s:
            await asyncio.sleep(TICK_S)
        await super().shutdown(sockets)


def _open_to_all(_authorization: str | None, _scope: str, address: str) -> str:
    return address


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _end_loudly(args: threading.ExceptHookArgs) -> None:
    import os

    sys.excepthook(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
    os._exit(70)
