"""Looks at everything the settings name, and says of each thing how it was found and what to do about it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from panopticon.cards.cards import ModelCard
from panopticon.depths import total
from panopticon.engines import engine_name
from panopticon.engines.prepare import prepared
from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.interfaces import Broker, Diagnosable, FetchLimits, Finding, Health, ImageSource
from panopticon.messages import ImageMessage
from panopticon.models import find_card, parse_version
from panopticon.models.weights import has_weights, verified_weights
from panopticon.registry.records import VersionEntry
from panopticon.results.originals import original_uri
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.health.disks import existing, free_room
from storage.originals.files import path_of
from storage.search import open_search
from storage.stores import open_store
from workers.doctor.clock import clock_findings
from workers.queues import broker_of
from workers.registry.records import all_versions

PROBE_ID = "panopticon-doctor"
PROBE_TIMEOUT_S = 5.0

Registered = dict[VersionName, VersionEntry]


def examine(
    settings: Settings, open_source: Callable[[], ImageSource], *, now_s: Callable[[], float]
) -> Iterator[Finding]:
    """Findings as they come, the clock's first. Changes nothing; never raises what a part raises.

    `open_source` gives what workers fetch originals from, or raises UsageError. An SQLite file that serves
    several parts is looked at once.
    """
    yield from clock_findings(settings, now_s=now_s)
    yield from Parts(settings).examined()
    yield from _asked("originals", partial(_originals, settings, open_source))
    yield from _roots(settings)
    yield _cache(settings)


class Parts:
    """Store, broker and search index, in that order, and the models that the store knows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registered: Registered | None = None
        self._looked_at: dict[str, bool] = {}

    def examined(self) -> Iterator[Finding]:
        """What each says of itself; then, unless it is down, what it is asked."""
        yield from _asked("store", self._store)
        yield from _asked("broker", self._broker)
        yield from _asked("search", self._search)
        for name in self._settings.models:
            yield from _asked(f"model {name}", partial(self._model, name))

    def _store(self) -> Iterator[Finding]:
        store = open_store(self._settings.store_url)
        yield from self._said_of_itself(self._settings.store_url, store)
        if self._looked_at[self._settings.store_url]:
            self._registered = {name: entry for name, (_, entry) in all_versions(store.registry).items()}
            yield _registry(self._registered)
        store.close()

    def _broker(self) -> Iterator[Finding]:
        broker = broker_of(self._settings)
        yield from self._said_of_itself(self._settings.broker_url, broker)
        if self._looked_at[self._settings.broker_url]:
            yield from _queues(broker, self._registered)
        broker.close()

    def _search(self) -> Iterator[Finding]:
        search = open_search(self._settings.search_url)
        yield from self._said_of_itself(self._settings.search_url, search)
        if self._looked_at[self._settings.search_url]:
            search.get([PROBE_ID])
            yield _ok("search: documents", "it answers")

    def _said_of_itself(self, url: str, part: object) -> Iterator[Finding]:
        """Once for each URL; remembers whether it is there to be asked more."""
        if url in self._looked_at:
            return
        findings = part.diagnose() if isinstance(part, Diagnosable) else []
        self._looked_at[url] = not any(finding.last for finding in findings)
        yield from findings

    def _model(self, name: str) -> Iterator[Finding]:
        card = find_card(parse_version(name), self._settings.models_dir)
        engine = engine_name(card, self._settings.engine)
        yield _card(card, engine, self._registered)
        converted = engine == "litert" and prepared(card, self._settings.cache_dir)
        yield from _weights(card, needed=not converted)
        if engine == "litert":
            yield _export(card, converted=converted)


def _asked(check: str, question: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from question()
    except Unavailable as error:
        yield _fail(check, error.reason, "start it, or correct its URL in the settings")
    except PanopticonError as error:
        yield _fail(check, str(error), "")


def _registry(known: Registered) -> Finding:
    if not known:
        return Finding(
            check="store: models",
            health=Health.WARN,
            seen="no model version is registered",
            advice="a worker registers its own when it starts: panopticon worker --model NAME@VERSION",
        )
    return _ok("store: models", ", ".join(f"{name} {entry.state.value}" for name, entry in known.items()))


def _queues(broker: Broker, known: Registered | None) -> Iterator[Finding]:
    bound = set(broker.topology.bound())
    if known is not None:
        yield _bindings(bound, known)
    yield _waiting(broker, bound)
    undeliverable = total(broker.undeliverable().depth())
    if undeliverable:
        yield Finding(
            check="broker: undeliverable",
            health=Health.WARN,
            seen=f"{undeliverable:,} messages that nobody could take",
            advice="run panopticon indexer, which keeps them as failures; then panopticon dead list",
        )


def _bindings(bound: set[VersionName], known: Registered) -> Finding:
    routed = {name for name, entry in known.items() if entry.state.routed}
    if starved := sorted(routed - bound):
        return _fail(
            "broker: bindings",
            f"uploads do not reach {_listed(starved)}",
            "start a worker of each with these settings; then panopticon audit --ids FILE --fix",
        )
    if stray := sorted(bound - routed):
        return Finding(
            check="broker: bindings",
            health=Health.WARN,
            seen=f"uploads also reach {', '.join(f'{name} ({_state(name, known)})' for name in stray)}",
            advice="; ".join(dict.fromkeys(_way_out(name, known) for name in stray)),
        )
    return _ok("broker: bindings", f"uploads reach {_listed(sorted(bound)) or 'no model yet'}")


def _state(name: VersionName, known: Registered) -> str:
    return known[name].state.value if name in known else "not in the store"


def _way_out(name: VersionName, known: Registered) -> str:
    """Of one that uploads reach though it is not fed: a command was interrupted, or the store is another."""
    match _state(name, known):
        case "registered":
            return f"panopticon models shadow {name}, or panopticon models retire {name}"
        case "retired":
            return f"panopticon models retire {name} --discard --yes"
        case _:
            return "check that broker and store belong together"


def _waiting(broker: Broker, bound: Iterable[VersionName]) -> Finding:
    queues = {str(version): broker.model_queue(version) for version in sorted(bound)}
    beside = {"catalogue": broker.catalogue(), "results": broker.results()}
    depths = {name: total(queue.depth()) for name, queue in {**queues, **beside}.items()}
    return _ok("broker: waiting", ", ".join(f"{name} {depth:,}" for name, depth in depths.items()))


def _card(card: ModelCard, engine: str, known: Registered | None) -> Finding:
    check = f"model {card.version_name}: card"
    entry = (known or {}).get(card.version_name)
    if entry is not None and entry.digest != card.digest:
        return _fail(
            check,
            f"its digest is {card.digest[:12]}, registered is {entry.digest[:12]}",
            "give the changed model a new version number, or install the release that was registered",
        )
    return _ok(check, f"digest {card.digest[:12]}, engine {engine}")


def _weights(card: ModelCard, *, needed: bool) -> Iterator[Finding]:
    check = f"model {card.version_name}: weights"
    if card.weights is None:
        return
    if has_weights(card):
        yield _ok(check, str(verified_weights(card)))
    elif needed:
        yield _fail(
            check, "not on this machine", f"pip install 'panopticon[cpu]', or copy {card.weights.file}"
        )
    else:
        yield _ok(check, "not on this machine, nor needed: it is converted already")


def _export(card: ModelCard, *, converted: bool) -> Finding:
    check = f"model {card.version_name}: converted"
    if converted:
        return _ok(check, "in the cache")
    if importlib.util.find_spec("tensorflow") is None:
        return _fail(
            check, "not in the cache, and TensorFlow is not installed", "pip install 'panopticon[cpu]'"
        )
    return Finding(
        check=check,
        health=Health.WARN,
        seen="not in the cache",
        advice=f"the first start converts it; to do it now: panopticon models check {card.version_name}",
    )


def _originals(settings: Settings, open_source: Callable[[], ImageSource]) -> Iterator[Finding]:
    source = open_source()
    if not settings.originals:
        yield _ok("originals: template", "none: each message names its own URI")
        return
    uri = original_uri(ImageMessage(image_id=PROBE_ID), settings.originals)
    yield _folder(settings.originals) if uri.startswith("file:") else _reached(uri, source)


def _roots(settings: Settings) -> Iterator[Finding]:
    for root in settings.file_roots:
        check = f"originals: {root}"
        if os.access(root, os.R_OK | os.X_OK) and root.is_dir():
            yield _ok(check, "may be read, as file_roots says")
        else:
            yield _fail(check, "cannot be read", "mount it, or take it out of the setting file_roots")


def _folder(template: str) -> Finding:
    folder = Path(os.fsdecode(path_of(template.partition("{image_id}")[0] + "x"))).parent
    if os.access(folder, os.R_OK | os.X_OK):
        return _ok("originals: folder", str(folder))
    return _fail(
        "originals: folder", f"{folder} cannot be read", "mount it, or correct the setting originals"
    )


def _reached(uri: str, source: ImageSource) -> Finding:
    """Any answer about an image that does not exist shows that the source is there and lets us in."""
    check, advice = "originals: source", "correct the setting originals, or see to its server"
    try:
        source.fetch(uri, FetchLimits(timeout_s=PROBE_TIMEOUT_S))
    except (Rejected, Transient) as error:
        if error.reason in ("not_found", "too_many_bytes"):
            return _ok(check, "it answers")
        health = Health.FAIL if isinstance(error, Rejected) else Health.WARN
        return Finding(check=check, health=health, seen=f"asked for an image: {error}", advice=advice)
    return _ok(check, "it answers")


def _cache(settings: Settings) -> Finding:
    folder = settings.cache_dir
    if os.access(existing(folder), os.W_OK):
        return free_room("cache: disk", folder)
    return _ok("cache: disk", f"{folder} is read-only: nothing is converted on this machine")


def _listed(names: Iterable[VersionName]) -> str:
    return ", ".join(map(str, names))


def _ok(check: str, seen: str) -> Finding:
    return Finding(check=check, health=Health.OK, seen=seen)


def _fail(check: str, seen: str, advice: str) -> Finding:
    return Finding(check=check, health=Health.FAIL, seen=seen, advice=advice)
