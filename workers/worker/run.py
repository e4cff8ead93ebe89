"""One worker: a consumer and its model process, built from the settings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from panopticon.cards.cards import ModelCard
from panopticon.engines import engine_name
from panopticon.engines.prepare import prepared
from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import ModelRunner
from panopticon.metrics import Metrics
from panopticon.models.weights import refuse_altered_weights
from panopticon.registry.heartbeats import ProcessRole
from panopticon.registry.records import VersionState
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.stores import open_store
from workers.model_process.client import ModelClient
from workers.model_process.interpreter import refuse_unfit_interpreter
from workers.queues import broker_of
from workers.registry.policy_cache import PolicyCache, ResolvedPolicy
from workers.registry.register import ensure_registered
from workers.remote_model.runner import RemoteRunner
from workers.runtime.end_with_parent import run_child
from workers.runtime.heartbeat import HeartbeatWriter
from workers.runtime.identity import who
from workers.runtime.lifecycle import ReadyFile, run_turns
from workers.runtime.parking import Parking
from workers.worker.consumer import Consumer, ConsumerSettings
from workers.worker.intake import PARKED_WAIT_S
from workers.worker.settlement import Settlement

log = logging.getLogger(__name__)

T = TypeVar("T")


def needs_preparation(card: ModelCard, settings: Settings) -> bool:
    """Return whether the model may have to be converted first, which can take half a minute.

    Raises: UsageError for an engine that the card does not allow.
    """
    if engine_name(card, settings.engine) != "litert":
        return False
    # The name of an export has the versions of the libraries, and another interpreter has its own.
    return card.own_python is not None or not prepared(card, settings.cache_dir)


def prepare_model(card: ModelCard, settings: Settings) -> None:
    """Convert the model once, in a process of its own, so that its gigabyte of memory is freed.

    Raises: UsageError for an engine that the card does not allow, for an interpreter of the card that cannot
    run a model process, or with the last line of that process.
    """
    is_needed = needs_preparation(card, settings)
    refuse_unfit_interpreter(card)
    if not is_needed:
        return
    arguments = [str(card.version_name), f"--cache-dir={settings.cache_dir}"]
    if settings.models_dir:
        arguments.append(f"--models-dir={settings.models_dir}")
    done = run_child("panopticon.engines.prepare", arguments, python=card.own_python)
    if done.returncode:
        last_line = (done.stderr.strip() or "no message").splitlines()[-1]
        raise UsageError(f"{card.version_name} could not be prepared: {last_line}")


def prepare_worker(card: ModelCard, settings: Settings) -> None:
    """Prepare the model as `prepare_model` does, unless a service runs it, so that nothing is needed here."""
    if not settings.espresso:
        prepare_model(card, settings)


def run_worker(
    card: ModelCard, settings: Settings, *, metrics: Metrics, stopping: Callable[[], bool]
) -> None:
    """Work until `stopping`, or until the version is retired; then drain. Wait for store and broker.

    Raises: UsageError, and only before the first image.
    """
    model = open_runner(card, settings, metrics)
    prepare_worker(card, settings)
    store, broker = open_store(settings.store_url), broker_of(settings)
    parking = Parking(max_s=settings.park_max_s, clock=time.monotonic, metrics=metrics)
    registering = partial(
        ensure_registered, card, store.registry, broker.topology, archive=store.archive, by=who()
    )
    entry = once_possible(registering, parking, stopping=stopping)
    if entry is None:
        return
    version = card.version_name
    if not entry.state.routed:
        log.warning("no upload reaches %s: panopticon models shadow %s", version, version)
    policies = PolicyCache(store.registry, store.archive, settings)
    queue = broker.model_queue(version)
    settlement = Settlement(
        version=version,
        policy=partial(present_policy, policies, version),
        queue=queue,
        outputs=store.outputs,
        results=broker.results(),
        undeliverable=broker.undeliverable(),
    )
    consumer = Consumer(
        card=card,
        settings=ConsumerSettings.of(settings),
        queue=queue,
        outputs=store.outputs,
        catalogue=store.catalogue,
        settlement=settlement,
        model=model,
        metrics=metrics,
    )
    heartbeat = HeartbeatWriter(
        store.heartbeats, role=ProcessRole.WORKER, version=str(version), digest=card.digest
    )
    _work(consumer, model, settings, heartbeat, stopping=lambda: stopping() or is_retired(policies, version))


def open_runner(card: ModelCard, settings: Settings, metrics: Metrics) -> ModelRunner:
    """Return what runs the model, not started: the service of the setting `espresso`, else a process of ours.

    Raises: UsageError for weights that are not those of the card, or a setting that cannot be used.
    """
    if settings.espresso:
        return RemoteRunner(card, settings)
    refuse_altered_weights(card)
    return ModelClient(card, settings, metrics=metrics)


def _work(
    consumer: Consumer,
    model: ModelRunner,
    settings: Settings,
    heartbeat: HeartbeatWriter,
    *,
    stopping: Callable[[], bool],
) -> None:
    """Run one turn after another, then drain."""
    ready = ReadyFile(settings.ready_file)

    def turn() -> None:
        consumer.turn()
        hello, parked = model.hello, consumer.parked
        ready.show(ready=parked is None and hello is not None)
        heartbeat.turn(
            ready=hello is not None,
            parked=parked,
            remark=consumer.waiting_for_source,
            done=consumer.finished,
            engine=hello.engine if hello else "",
        )

    try:
        run_turns(turn, stopping=stopping)
        ready.show(ready=False)
        consumer.drain(timeout_s=settings.grace_s)
        heartbeat.end(done=consumer.finished)
    finally:
        model.close()
    log.info("stopped")


def once_possible(step: Callable[[], T], parking: Parking, *, stopping: Callable[[], bool]) -> T | None:
    """Return the result of `step` once nothing that it needs is down; None if `stopping` comes first."""
    while not stopping():
        try:
            done = step()
        except Unavailable as error:
            parking.park(error)
            while parking.waiting and not stopping():
                time.sleep(PARKED_WAIT_S)
        else:
            parking.resume()
            return done
    return None


def present_policy(policies: PolicyCache, version: VersionName) -> ResolvedPolicy:
    """Return the current policy. Raises: Unavailable, also if the registry no longer knows the version."""
    policy = policies.of(version)
    if policy is None:
        raise Unavailable("store", f"the registry does not know {version} any more")
    return policy


def is_retired(policies: PolicyCache, version: VersionName) -> bool:
    """Return whether the version is known to be retired; a worker that cannot ask goes on, and parks."""
    try:
        entry = policies.entry(version)
    except Unavailable:
        return False
    return entry is not None and entry.state is VersionState.RETIRED
