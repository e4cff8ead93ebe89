"""The HTTP service, put together from the settings."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial

import uvloop

from panopticon.cards.cards import ModelCard
from panopticon.engines.gpu_memory import refuse_overcommitted_gpu
from panopticon.metrics import Metrics
from panopticon.models import find_card
from panopticon.models.weights import refuse_altered_weights
from panopticon.results.outputs import VersionName
from panopticon.scheduling.gate import Gate
from panopticon.scheduling.items import NotRun
from panopticon.settings import Settings
from workers.model_process.client import ModelClient
from workers.model_process.gpu import gpu_total_mb
from workers.runtime.parking import Parking
from workers.serving.access.access import Access, refuse_open_service
from workers.serving.access.token_file import Scope
from workers.serving.api.analyze.endpoint import OWN_WORKERS, Analyze
from workers.serving.api.app import ApiRoute, by_method, probe_routes, router_of
from workers.serving.api.entry import Entry
from workers.serving.api.hosts import hosts_endpoint
from workers.serving.api.images import image_route
from workers.serving.api.models import Models
from workers.serving.api.openapi.document import openapi_routes
from workers.serving.api.problems import problem_routes
from workers.serving.api.search import search_route
from workers.serving.catalogue import ServedCatalogue
from workers.serving.coordinator import Coordinator
from workers.serving.edge.address import TakenAddress, allow_open_files, take_address
from workers.serving.edge.limits import EdgeLimits
from workers.serving.edge.server import HttpServer
from workers.serving.edge.tls import tls_context
from workers.serving.hosts import Hosts, open_hosts
from workers.serving.policies import Policies
from workers.serving.readiness import ProbeServer, Readiness
from workers.serving.reading import Readers
from workers.serving.replica import Replica, Turn
from workers.serving.served_model import ServedModel
from workers.serving.watch import Watch
from workers.worker.run import needs_preparation, once_possible, prepare_model

log = logging.getLogger(__name__)

TICK_S = 0.1
ENDING_S = 5.0
"""Time for the model processes to end."""


Companions = Callable[[str, str], AbstractContextManager[Callable[[], None]]]
"""Takes the service's URL and a token for it. What it yields raises ProcessEnded once one has ended."""


@contextmanager
def no_companions(_url: str, _token: str) -> Iterator[Callable[[], None]]:
    """Start nothing else."""
    yield lambda: None


class Service:
    """One HTTP service: its models, its API and its probes. `run` blocks until it has drained."""

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: Metrics,
        stopping: Callable[[], bool],
    ) -> None:
        """`stopping` returns True once the service is to drain."""
        self._settings = settings
        self._metrics = metrics
        self._stopping = stopping
        self._access = Access(settings.tokens_file)
        self._own_token = secrets.token_urlsafe(32)
        self._policies = Policies(settings)
        self._readiness = Readiness(metrics)
        self._probes = ProbeServer(self._readiness)
        self._readers = Readers(settings)
        self._hosts: Hosts | None = None
        self._tls: ssl.SSLContext | None = None
        self._gpu_mb: int | None = None

    def run(self, cards: Sequence[ModelCard], *, companions: Companions = no_companions) -> None:
        """Serve these versions until `stopping`, then drain.

        `companions` is called with the service's URL and a token once it listens; what it starts is stopped
        before the service drains. It waits for a store that is down.

        Raises: UsageError for a mistake in the settings or a card, before it listens; ProcessEnded if a
        companion ended.
        """
        settings = self._settings
        refuse_open_service(settings.http_host, settings.tokens_file)
        self._access.open()
        self._tls = tls_context(settings.tls_certificate, settings.tls_key)
        self._hosts = open_hosts(settings.hosts, clock=time)
        if self._hosts is not None:
            self._hosts.check()
        self._gpu_mb = gpu_total_mb()
        self._refuse_overcommitted(cards)
        allow_open_files(settings.max_connections)
        # Before the conversions, since a port that is in use would only be noticed after them.
        with closing(take_address(settings.http_host, settings.http_port)) as address:
            for card in cards:
                self._prepare(card)
                # A conversion takes long enough for a person to change their mind.
                if self._stopping():
                    return
            parking = Parking(max_s=settings.park_max_s, clock=time.monotonic, metrics=self._metrics)
            reading = partial(self._read_policies, cards)
            if once_possible(reading, parking, stopping=self._stopping) is None:
                return
            # A bug in a thread must not leave a service that is half alive.
            threading.excepthook = _end_loudly
            try:
                if settings.probe_port is not None:
                    self._probes.start(settings.http_host, settings.probe_port)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(self._serve(cards, address, companions))
            finally:
                self._probes.close()
                self._readers.close()

    @property
    def _scheme(self) -> str:
        return "http" if self._tls is None else "https"

    def _read_policies(self, cards: Sequence[ModelCard]) -> bool:
        self._policies.read(cards)
        return True

    def _card_of(self, version: VersionName) -> ModelCard:
        return find_card(version, self._settings.models_dir)

    def _refuse_overcommitted(self, cards: Sequence[ModelCard]) -> None:
        refuse_overcommitted_gpu([(card, self._settings.replicas) for card in cards], self._gpu_mb)

    def _prepare(self, card: ModelCard) -> None:
        refuse_altered_weights(card)
        # Only this may take half a minute, in which a person would see nothing.
        if needs_preparation(card, self._settings):
            log.info("%s: being converted, which is done once", card.version_name)
        prepare_model(card, self._settings)

    async def _serve(self, cards: Sequence[ModelCard], address: TakenAddress, companions: Companions) -> None:
        loop = asyncio.get_running_loop()
        catalogue = ServedCatalogue(
            serve=partial(self._served, loop),
            active=self._policies.active,
            unload_timeout_s=self._settings.request_timeout_s,
            changed=lambda served: self._policies.watch([each.card for each in served]),
        )
        server = self._server(catalogue, address)
        for card in cards:
            catalogue.load(card, awaited=True)
        self._policies.start()
        watch = Watch(catalogue, self._readiness, metrics=self._metrics, trouble=self._access.trouble)
        watching = loop.create_task(watch.run())
        try:
            await server.start()
            await self._until_stopping(server, companions, watch)
            log.info(
                "draining: requests are accepted for another %g s; a second signal ends it at once",
                self._settings.drain_s,
            )
            server.drain()
            await asyncio.sleep(self._settings.drain_s)
        finally:
            await server.stop(limit_s=self._settings.request_timeout_s)
            watching.cancel()
            catalogue.close()
            await asyncio.to_thread(catalogue.join, ENDING_S)
            await asyncio.to_thread(self._policies.close)

    async def _until_stopping(self, server: HttpServer, companions: Companions, watch: Watch) -> None:
        """Wait until the service is to drain. Raises: ProcessEnded if a companion ended."""
        with ExitStack() as running:
            # In this thread, for the kernel ends the processes together with the thread that started them.
            check = running.enter_context(companions(server.url, self._own_token))
            log.info("serving on %s", server.url)
            try:
                while not self._stopping():
                    check()
                    await asyncio.sleep(TICK_S)
            finally:
                watch.draining = True
                # They finish what they have, for which they need the service.
                stopping = running.pop_all()
                await asyncio.to_thread(stopping.close)

    def _served(self, loop: asyncio.AbstractEventLoop, card: ModelCard) -> ServedModel:
        def make(report: Callable[[Replica, Turn], None], convict: Callable[[NotRun], None]) -> list[Replica]:
            def on_loop(replica: Replica, turn: Turn) -> None:
                loop.call_soon_threadsafe(report, replica, turn)

            def convict_on_loop(failure: NotRun) -> None:
                loop.call_soon_threadsafe(convict, failure)

            return [
                Replica(
                    ModelClient(card, self._settings, metrics=self._metrics, convicted=convict_on_loop),
                    name=f"{card.version_name}/{number}",
                    report=on_loop,
                )
                for number in range(self._settings.replicas)
            ]

        gate = Gate(max_places=self._settings.gate, max_bytes=self._settings.gate_bytes)
        return ServedModel(card, replicas=make, gate=gate, metrics=self._metrics)

    def _server(self, catalogue: ServedCatalogue, address: TakenAddress) -> HttpServer:
        settings = self._settings
        models = Models(
            catalogue,
            self._policies,
            card_of=self._card_of,
            refuse=self._refuse_overcommitted,
            prepare=self._prepare,
        )
        analyze = Analyze(
            catalogue=catalogue,
            coordinator=Coordinator(self._policies),
            gate=Gate(max_places=settings.service_gate, max_bytes=settings.service_gate_bytes),
            settings=settings,
            metrics=self._metrics,
        )
        router = router_of(
            [
                ApiRoute("/v1/analyze", analyze, methods=["POST"]),
                ApiRoute("/v1/models", models.list, methods=["GET"], needs="read"),
                ApiRoute(
                    "/v1/models/{name}",
                    by_method({"GET": models.show, "PUT": models.load, "DELETE": models.unload}),
                    # Each of them checks its own scope.
                    methods=["GET", "PUT", "DELETE"],
                ),
                image_route(self._readers, settings),
                search_route(self._readers),
                ApiRoute(
                    "/v1/hosts",
                    hosts_endpoint(self._hosts, http_host=settings.http_host, scheme=self._scheme),
                    methods=["GET"],
                    needs="read",
                ),
                *probe_routes(self._readiness),
                *problem_routes(),
                *openapi_routes(),
            ]
        )
        entry = Entry(router, check=self._check, metrics=self._metrics)
        return HttpServer(entry, address, EdgeLimits.of(settings), metrics=self._metrics, tls=self._tls)

    def _check(self, authorization: str | None, scope: str, address: str) -> str:
        """Return the name of the caller. The workers of this service have a token that no file holds."""
        own = f"Bearer {self._own_token}".encode()
        # As bytes, since the header may hold any of them.
        if authorization and hmac.compare_digest(authorization.encode("latin-1"), own):
            return OWN_WORKERS
        return self._access.check(authorization, Scope(scope), address=address).name


def _end_loudly(args: threading.ExceptHookArgs) -> None:
    sys.excepthook(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
    os._exit(70)
