"""`python -m benchmarks.queue`: what the adapters for RabbitMQ and Cassandra cost beside their bare drivers.

Prints one JSON object of ratios, each of one run: consume → confirmed publish → ack against a minimal pika
loop with the same window, and against a confirm for each message; Cassandra writes against bare
`execute_concurrent`; and the CPU milliseconds per image of a consumer on both servers with a null model.

Without URLs it starts servers of its own, which takes what the tests need.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cassandra.cluster import Session
from cassandra.concurrent import execute_concurrent_with_args

from benchmarks import bare_pika
from benchmarks.photos import make_photos
from benchmarks.pipeline import MODELS
from benchmarks.running_worker import RunningWorker
from benchmarks.servers import cassandra, rabbitmq
from panopticon.cards import read_card
from panopticon.messages import Lane
from panopticon.outputs import Output, OutputKey, VersionName, encode_payload
from storage.outputs import open_store
from storage.outputs.cassandra.connection import Timeouts, new_cluster
from storage.outputs.cassandra.url import address_of
from workers.queues import open_broker

WINDOW = 64
BODY = b'{"image_id":"0123456789","image_uri":"s3://bucket/0123456789.jpg","revision":0}'


def broker_ratios(url: str, *, messages: int, rounds: int) -> dict[str, Any]:
    """Three ways in turn, so that the machine's moods meet all."""
    amqp = url.partition("?")[0]
    ways: dict[str, Callable[[], float]] = {
        "adapter": lambda: _through_adapter(url, messages),
        "minimal_loop": lambda: _through_pika(amqp, messages),
        "confirm_each": lambda: _one_by_one(amqp, messages),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(way())
    rates = {name: messages / statistics.median(runs) for name, runs in seconds.items()}
    return {
        "messages": messages,
        "window": WINDOW,
        "per_s": {name: round(rate) for name, rate in rates.items()},
        "ratio_to_minimal_loop": round(rates["adapter"] / rates["minimal_loop"], 3),
        "factor_over_confirm_each": round(rates["adapter"] / rates["confirm_each"], 2),
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
    """The adapter's `put` against the driver's own helper with the same statement and window."""
    address = address_of(url)
    cluster = new_cluster(address, Timeouts())
    with closing(open_store(url)) as store:
        store.registry.models()
        session = cluster.connect(address.keyspace)
        adapter, driver = [], []
        for round_ in range(rounds):
            batch = [_output(f"{round_}-{number}") for number in range(outputs)]
            adapter.append(_timed(partial(store.outputs.put, batch)))
            driver.append(_timed(partial(_put_bare, session, batch)))
    cluster.shutdown()
    ratios = [slow / fast for slow, fast in zip(driver, adapter, strict=True)]
    return {
        "outputs": outputs,
        "per_s": {
            "adapter": round(outputs / statistics.median(adapter)),
            "execute_concurrent": round(outputs / statistics.median(driver)),
        },
        "ratio_to_execute_concurrent": round(statistics.median(ratios), 3),
    }


def _put_bare(session: Session, batch: list[Output]) -> None:
    statement = session.prepare(
        "INSERT INTO outputs (image_id, model, version, revision, payload) "
        "VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
    )
    rows = [(*o.key.columns, encode_payload(o), o.produced_at_ms * 1000) for o in batch]
    execute_concurrent_with_args(session, statement, rows, concurrency=WINDOW)


def _output(image_id: str) -> Output:
    return Output(
        key=OutputKey(image_id=image_id, model="bench", version=1, revision=0),
        vector=np.zeros(1000, dtype=np.float16),
        digest="0" * 64,
        engine="null",
        libraries="numpy",
        source_sha256="0" * 64,
        width_px=500,
        height_px=375,
        produced_at_ms=1_700_000_000_000,
    )


def _timed(work: Callable[[], None]) -> float:
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


def consumer_cpu(broker_url: str, store_url: str, folder: Path, *, images: int) -> dict[str, Any]:
    """Of a real worker on both servers, with a null model on tiny pictures."""
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
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with rabbitmq(options.rabbitmq, folder) as broker, cassandra(options.cassandra, folder) as store:
            report = {
                "rabbitmq": broker_ratios(broker, messages=options.messages, rounds=options.rounds),
                "cassandra": store_ratio(store, outputs=options.messages // 2, rounds=options.rounds),
                "consumer": consumer_cpu(broker, store, folder, images=options.messages // 2),
            }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
