"""Measure a change of policy and a switch of versions: `python -m benchmarks.versions`.

Prints one JSON object for each place (one SQLite file; RabbitMQ, Cassandra and OpenSearch): documents per
second while a policy is republished, from stored vectors of 1,000 classes through the results queue and an
indexer into search, against bulk indexing of the same documents alone; and the effect of a switch on queries
that never pause. The wait until every process knows the policy is left out: it is a setting.

Without URLs it starts its own servers, which needs the programs that the tests need.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.servers import cassandra, opensearch, rabbitmq
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.models import find_card
from panopticon.registry import transitions
from panopticon.registry.records import VersionState
from panopticon.registry.transitions import Author
from panopticon.results.documents import Change, change_of
from panopticon.results.outputs import Output, OutputKey, VersionName
from panopticon.results.search import Query
from panopticon.settings import Settings
from storage.search import open_search
from storage.stores import open_store
from workers.maintenance.republish import SEARCHABLE_S, Republisher
from workers.queues import broker_of
from workers.registry.active import active_versions, parts_of
from workers.registry.change_state import Versions
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy, result_message
from workers.registry.register import new_entry
from workers.runtime.end_with_parent import start_child

TAGGER = VersionName(model="tagger", version=1)
BENCH = Author(by="benchmark", at_ms=1)
BULK = 500
"""Changes in one request of the bulk indexing."""
WARM_QUERIES = 200

Selection = tuple[float, float, tuple[str, ...]]
"""One query: its begin and end in seconds, and the parts that it was answered from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One set of systems with outputs of the tagger for some images."""

    settings: Settings
    store: Store
    broker: Broker
    search: SearchIndex
    outputs: Sequence[Output]

    def policy(self) -> ResolvedPolicy:
        entry = self.store.registry.read(TAGGER.model)
        assert entry is not None
        return resolve_policy(entry, transitions.known_version(entry, TAGGER.version), self.store.archive)

    def put_policy(self) -> ResolvedPolicy:
        """Apply the same policy under the next number, so that documents keep their number and size."""
        entry = self.store.registry.read(TAGGER.model)
        assert entry is not None
        known = transitions.known_version(entry, TAGGER.version)
        changed = transitions.put_policy(entry, TAGGER.version, known.policy_toml, BENCH)
        assert self.store.registry.swap(entry, changed)
        return self.policy()

    def changes(self, policy: ResolvedPolicy) -> list[Change]:
        return [change_of(result_message(output, policy, occurred_at=None)) for output in self.outputs]


@contextmanager
def filled(settings: Settings, *, images: int) -> Iterator[Place]:
    """Yield a place with outputs, documents and two registered versions of the tagger, the first active."""
    store, broker = open_store(settings.store_url), broker_of(settings)
    with closing(store), closing(broker):
        _register(store)
        place = Place(
            settings=settings,
            store=store,
            broker=broker,
            search=open_search(settings.search_url),
            outputs=_outputs(images),
        )
        place.search.create()
        for at in range(0, images, BULK):
            store.outputs.put(place.outputs[at : at + BULK])
        _index(place, place.policy())
        yield place


def _register(store: Store) -> None:
    card = find_card(TAGGER, None)
    entry = transitions.new_model(card.name, card.task)
    for number, state in ((1, VersionState.ACTIVE), (2, VersionState.SHADOW)):
        version = new_entry(card.model_copy(update={"version": number}), store.archive, BENCH)
        entry = entry.with_version(replace(version, state=state), BENCH.did("registered"))
    assert store.registry.swap(None, entry)


def _outputs(images: int) -> list[Output]:
    """Make outputs with probabilities of 1,000 classes, of which a few are high."""
    logits = 2 * np.random.default_rng(1).gumbel(size=(images, 1000))
    vectors = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [
        Output(
            key=OutputKey(image_id=f"image-{number:07}", model="tagger", version=1, revision=0),
            vector=vector.astype("<f2"),
            digest="0" * 64,
            engine="none",
            libraries="numpy",
            source_sha256="0" * 64,
            width_px=500,
            height_px=375,
            produced_at_ms=1_700_000_000_000,
        )
        for number, vector in enumerate(vectors)
    ]


def republishing(place: Place, *, rounds: int) -> dict[str, Any]:
    """Compare both ways to rewrite every document; the order alternates from round to round."""
    ways = {
        "republish": lambda: _republished_s(place),
        "bulk_indexing": lambda: _index(place, place.put_policy()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with _indexer(place.settings):
        for number in range(rounds):
            for name in reversed([*ways]) if number % 2 else ways:
                seconds[name].append(ways[name]())
    pairs = [bulk / ours for bulk, ours in zip(seconds["bulk_indexing"], seconds["republish"], strict=True)]
    images = len(place.outputs)
    parts = [change.part for change in place.changes(place.policy())]
    tags = sum(len(part.tags) for part in parts if part is not None)
    return {
        "documents": images,
        "tags_per_document": round(tags / images, 2),
        "per_s": {name: round(images / statistics.median(spent)) for name, spent in seconds.items()},
        "ratio_to_bulk_indexing": round(statistics.median(pairs), 3),
        "ratio_of_each_round": [round(pair, 3) for pair in pairs],
    }


class _ImpatientClock:
    """The machine's clock, without the long wait until a policy is known everywhere."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        if seconds < SEARCHABLE_S:
            time.sleep(seconds)


def _republished_s(place: Place) -> float:
    place.put_policy()
    while place.search.count([TAGGER.part]) < len(place.outputs):
        time.sleep(0.1)
    republisher = Republisher(
        TAGGER,
        settings=place.settings,
        store=place.store,
        search=place.search,
        results=place.broker.results(),
        clock=_ImpatientClock(),
    )
    begun_s = time.perf_counter()
    done = republisher.republish()
    spent_s = time.perf_counter() - begun_s
    assert (done.images, done.left) == (len(place.outputs), ())
    return spent_s


def _index(place: Place, policy: ResolvedPolicy) -> float:
    """Return the seconds in which search indexes changes that were made beforehand."""
    changes = place.changes(policy)
    begun_s = time.perf_counter()
    for at in range(0, len(changes), BULK):
        place.search.apply(changes[at : at + BULK])
    return time.perf_counter() - begun_s


@contextmanager
def _indexer(settings: Settings) -> Iterator[None]:
    environ, nothing = settings.as_environ(), subprocess.DEVNULL
    process = start_child("workers.cli.main", ["indexer"], env=environ, stderr=nothing)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def switching(place: Place, *, switches: int) -> dict[str, Any]:
    """Run queries one after the other on their own connection, through that many switches."""
    asked: list[Selection] = []
    stop = threading.Event()
    asking = threading.Thread(target=_ask_on, args=(place.settings, asked, stop))
    asking.start()
    versions = Versions(store=place.store, broker=place.broker, by=BENCH.by)
    swaps: list[tuple[float, float]] = []
    for number in range(switches):
        _wait_for(asked, WARM_QUERIES * (number + 1))
        begun_s = time.perf_counter()
        if number == 0:
            versions.activate(find_card(TAGGER, None).model_copy(update={"version": 2}))
        else:
            versions.roll_back(TAGGER.model)
        swaps.append((begun_s, time.perf_counter()))
    _wait_for(asked, WARM_QUERIES * (switches + 1))
    stop.set()
    asking.join()
    return _seen(asked, swaps)


def _seen(asked: Sequence[Selection], swaps: Sequence[tuple[float, float]]) -> dict[str, Any]:
    latencies = [end - begun for begun, end, _ in asked]
    during = [
        end - begun for begun, end, _ in asked if any(begun < done and end > start for start, done in swaps)
    ]
    changed = [new[0] for old, new in pairwise(asked) if old[2] != new[2]]
    late = [begun - start for begun, (start, _) in zip(changed, swaps, strict=True)]
    return {
        "switches": len(swaps),
        "command_ms": _ms(done - start for start, done in swaps),
        "first_query_of_the_new_version_begins_after_ms": _ms(late),
        "query_ms": _ms(latencies),
        "query_during_a_switch_ms": _ms(during),
    }


def _ms(seconds: Any) -> dict[str, float]:
    values = sorted(1000 * each for each in seconds)
    return {"median": round(statistics.median(values), 2), "most": round(values[-1], 2)} if values else {}


def _ask_on(settings: Settings, asked: list[Selection], stop: threading.Event) -> None:
    with closing(open_store(settings.store_url)) as store:
        search = open_search(settings.search_url)
        while not stop.is_set():
            begun_s = time.perf_counter()
            parts = parts_of(active_versions(store.registry))
            search.query(Query(parts=parts, limit=20))
            asked.append((begun_s, time.perf_counter(), parts))


def _wait_for(asked: Sequence[object], queries: int) -> None:
    while len(asked) < queries:
        time.sleep(0.01)


def measured(settings: Settings, *, images: int, rounds: int, switches: int) -> dict[str, Any]:
    with filled(settings, images=images) as place:
        return {
            "policy": republishing(place, rounds=rounds),
            "switch": switching(place, switches=switches),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rabbitmq", metavar="URL", help="with management=… in it")
    parser.add_argument("--cassandra", metavar="URL", help="without a keyspace")
    parser.add_argument("--opensearch", metavar="URL", help="without an index")
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--switches", type=int, default=20)
    options = parser.parse_args()
    amounts = {"images": options.images, "rounds": options.rounds, "switches": options.switches}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = Settings(database=f"sqlite:///{folder / 'versions.db'}")
        report = {"sqlite": measured(alone, **amounts)}
        with (
            rabbitmq(options.rabbitmq, folder) as broker,
            cassandra(options.cassandra, folder) as store,
            opensearch(options.opensearch) as search,
        ):
            places = {"broker": broker, "store": store, "search": search}
            report["servers"] = measured(alone.model_copy(update=places), **amounts)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
