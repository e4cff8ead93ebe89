"""Compare the adapters for RabbitMQ and Cassandra with their bare drivers: `python -m benchmarks.queue`.

Prints one JSON object: consume → confirmed publish → ack against a minimal pika loop with the same window,
and against a confirm for each message; Cassandra writes against bare `execute_concurrent`; and the CPU
milliseconds per image of a consumer on both servers with a null model. A ratio compares two runs, one after
the other; each is printed, and their median.

Without URLs it starts its own servers, which needs the programs that the tests need.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from cassandra.cluster import Session
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.query import PreparedStatement
from numpy.typing import NDArray

from benchmarks import bare_pika
from benchmarks.photos import make_photos
from benchmarks.pipeline import MODELS
from benchmarks.running_worker import RunningWorker
from benchmarks.servers import cassandra, rabbitmq
from panopticon.cards.cards import read_card
from panopticon.messages import Lane
from panopticon.results.outputs import Output, OutputKey, VersionName, encode_payload
from storage.stores import open_store
from storage.stores.cassandra.connection import CassandraTimeouts, new_cluster
from storage.stores.cassandra.statements import PUT_OUTPUT
from storage.stores.cassandra.url import address_of
from workers.queues import open_broker

WINDOW = 64
BODY = b'{"image_id":"0123456789","image_uri":"s3://bucket/0123456789.jpg","revision":0}'


def broker_ratios(url: str, *, messages: int, rounds: int) -> dict[str, Any]:
    """Compare the adapter with both loops of bare pika."""
    amqp = url.partition("?")[0]
    ways = {
        "adapter": lambda: _through_adapter(url, messages),
        "minimal_loop": lambda: _through_pika(amqp, messages),
        "confirm_each": lambda: _one_by_one(amqp, messages),
    }
    seconds = _in_turn(ways, rounds)
    return {
        "messages": messages,
        "window": WINDOW,
        "per_s": _rates(seconds, messages),
        "ratio_to_minimal_loop": _ratio(seconds, "minimal_loop"),
        "ratio_to_confirm_each": _ratio(seconds, "confirm_each"),
    }


def _through_adapter(url: str, messages: int) -> float:
    version = VersionName(model="bench", version=1)
    with closing(open_broker(url)) as broker:
        broker.topology.bind(version)
        queue, results = broker.model_queue(version), broker.catalogue()
        queue.submit([BODY] * messages, Lane.LIVE)
        begun_s, left = time.perf_counter(), messages
        while left:
            deliveries = queue.receive(max_live=WINDOW, max_backfill=0, wait_s=1.0)
            results.submit([delivery.body for delivery in deliveries], Lane.LIVE)
            queue.ack(deliveries)
            left -= len(deliveries)
        return time.perf_counter() - begun_s


def _through_pika(url: str, messages: int) -> float:
    bare_pika.fill(url, [BODY] * messages)
    return bare_pika.WindowedLoop(url, messages=messages, window=WINDOW).run()


def _one_by_one(url: str, messages: int) -> float:
    bare_pika.fill(url, [BODY] * messages)
    return bare_pika.one_by_one(url, messages)


def store_ratio(url: str, *, outputs: int, rounds: int) -> dict[str, Any]:
    """Compare the adapter's `put` with the driver's own helper.

    Both use the same statement, consistency, payloads and window. Both are prepared and warm, and no row is
    written twice.
    """
    address = address_of(url)
    cluster = new_cluster(address, CassandraTimeouts())
    with closing(open_store(url)) as store, ExitStack() as at_the_end:
        at_the_end.callback(cluster.shutdown)
        store.registry.models()
        session = cluster.connect(address.keyspace)
        prepared = session.prepare(PUT_OUTPUT.cql)
        ways = {
            "adapter": lambda: _timed(store.outputs.put, _new_outputs(outputs)),
            "execute_concurrent": lambda: _timed(
                partial(_put_bare, session, prepared), _new_outputs(outputs)
            ),
        }
        _in_turn(ways, 1)
        seconds = _in_turn(ways, rounds)
    return {
        "outputs": outputs,
        "payload_bytes": len(encode_payload(*_new_outputs(1))),
        "window": WINDOW,
        "per_s": _rates(seconds, outputs),
        "ratio_to_execute_concurrent": _ratio(seconds, "execute_concurrent"),
    }


def _put_bare(session: Session, prepared: PreparedStatement, batch: Sequence[Output]) -> None:
    rows = [(*o.key.columns, encode_payload(o), o.produced_at_ms * 1000) for o in batch]
    execute_concurrent_with_args(session, prepared, rows, concurrency=WINDOW)


def _new_outputs(count: int) -> list[Output]:
    """Make outputs of new images, as large as those of the tagger."""
    vectors = np.random.default_rng().random((count, 1000)).astype(np.float16)
    return [_output(uuid4().hex, vector) for vector in vectors]


def _output(image_id: str, vector: NDArray[np.floating[Any]]) -> Output:
    return Output(
        key=OutputKey(image_id=image_id, model="bench", version=1, revision=0),
        vector=vector,
        digest="0" * 64,
        engine="null",
        libraries="numpy",
        source_sha256="0" * 64,
        width_px=500,
        height_px=375,
        produced_at_ms=1_700_000_000_000,
    )


def _timed(put: Callable[[Sequence[Output]], None], batch: Sequence[Output]) -> float:
    begun_s = time.perf_counter()
    put(batch)
    return time.perf_counter() - begun_s


def _in_turn(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each run, by way. The order alternates, as the machine's speed may change."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in reversed([*ways]) if number % 2 else ways:
            seconds[name].append(ways[name]())
    return seconds


def _rates(seconds: Mapping[str, Sequence[float]], count: int) -> dict[str, int]:
    return {name: round(count / statistics.median(spent_s)) for name, spent_s in seconds.items()}


def _ratio(seconds: Mapping[str, Sequence[float]], other: str) -> dict[str, Any]:
    """Return the adapter's rate divided by that of the other way."""
    pairs = [slow / ours for slow, ours in zip(seconds[other], seconds["adapter"], strict=True)]
    return {
        "median": round(statistics.median(pairs), 3),
        "of_each_round": [round(pair, 3) for pair in pairs],
    }


def consumer_cpu(broker_url: str, store_url: str, folder: Path, *, images: int) -> dict[str, Any]:
    """Measure the CPU time of a worker on both servers, with a null model on tiny pictures."""
    card = read_card(MODELS / "null" / "card.toml")
    photos = make_photos(folder / "tiny", count=200, width_px=32, height_px=32)
    places = {"broker": broker_url, "store": store_url, "file_roots": str(folder)}
    worker = RunningWorker(card.version_name, folder=folder, models_dir=MODELS, places=places)
    worker.start()
    worker.run(photos)
    before = worker.cpu()
    worker.run(photos * (images // len(photos)))
    spent_s = worker.cpu().consumer_s - before.consumer_s
    worker.stop()
    return {"images": images, "consumer_ms_per_image": round(1000 * spent_s / images, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rabbitmq", metavar="URL", help="with management=… in it")
    parser.add_argument("--cassandra", metavar="URL", help="without a keyspace")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="of the three ways through RabbitMQ")
    parser.add_argument("--pairs", type=int, default=9, help="of the two ways into Cassandra")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with rabbitmq(options.rabbitmq, folder) as broker, cassandra(options.cassandra, folder) as store:
            report = {
                "rabbitmq": broker_ratios(broker, messages=options.messages, rounds=options.rounds),
                "cassandra": store_ratio(store, outputs=options.messages // 2, rounds=options.pairs),
                "consumer": consumer_cpu(broker, store, folder, images=options.messages // 2),
            }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
