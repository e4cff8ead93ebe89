"""One worker: a consumer and its model process, put together from settings."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

from panopticon.cards import ModelCard
from panopticon.engines import engine_name
from panopticon.engines.litert import prepared
from panopticon.errors import UsageError
from panopticon.metrics import Metrics
from panopticon.models.weights import refuse_altered_weights
from panopticon.policy import Judge, read_policy
from panopticon.registry import VersionEntry
from panopticon.settings import Settings
from storage.outputs import open_store
from workers.consumer import Consumer
from workers.lifecycle import ReadyFile, run_turns
from workers.model_client import ModelClient
from workers.outcomes import Ruling, Settlement
from workers.queues import broker_of
from workers.registration import ensure_registered


def prepare_model(card: ModelCard, settings: Settings) -> None:
    """Convert the model once, in a process of its own, whose gigabyte of memory goes with it.

    Raises: UsageError for an engine that the card does not allow, or with what that process said.
    """
    engine = engine_name(card, settings.engine)
    if engine != "litert" or prepared(card, settings.cache_dir):
        return
    command = [sys.executable, "-m", "panopticon.engines.prepare", str(card.version_name)]
    command += [f"--cache-dir={settings.cache_dir}"]
    if settings.models_dir:
        command.append(f"--models-dir={settings.models_dir}")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last_line = (done.stderr.strip() or "no message").splitlines()[-1]
        raise UsageError(f"{card.version_name} could not be prepared: {last_line}")


def run_worker(
    card: ModelCard, settings: Settings, *, metrics: Metrics, stopping: Callable[[], bool]
) -> None:
    """Work until `stopping`, then drain. Raises: UsageError before the first image only."""
    refuse_altered_weights(card)
    prepare_model(card, settings)
    store = open_store(settings.store_url)
    broker = broker_of(settings)
    entry = ensure_registered(card, store.registry, broker.topology, archive=store.archive, by=who())
    queue = broker.model_queue(card.version_name)
    settlement = Settlement(
        version=card.version_name,
        ruling=ruling_of(card, entry),
        queue=queue,
        outputs=store.outputs,
        results=broker.results(),
        undeliverable=broker.undeliverable(),
    )
    model = ModelClient(card, settings, metrics=metrics)
    consumer = Consumer(
        card=card,
        settings=settings,
        queue=queue,
        outputs=store.outputs,
        settlement=settlement,
        model=model,
        metrics=metrics,
    )
    ready = ReadyFile(settings.ready_file)

    def turn() -> None:
        consumer.turn()
        ready.show(ready=consumer.parked is None and model.hello is not None)

    try:
        run_turns(turn, stopping=stopping)
        ready.show(ready=False)
        consumer.drain(timeout_s=settings.grace_s)
    finally:
        model.close()


def ruling_of(card: ModelCard, entry: VersionEntry) -> Ruling:
    """The policy that the registry holds for this version, made ready."""
    judge = Judge(read_policy(entry.policy_toml), task=card.task, labels=card.labels)
    return Ruling(judge=judge, policy_number=entry.policy_number)


def who() -> str:
    """Who is named in the registry's history."""
    return f"{os.environ.get('USER', os.getuid())}@{socket.gethostname()}"
