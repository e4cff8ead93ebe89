"""Measure how messages of strangers hold up good images: `python -m benchmarks.strangers`.

Prints one JSON object: the seconds until every good image is stored, alone and behind messages that no worker
can serve (one of every kind of URI, and many paths that do not exist), with several workers on one SQLite
file; and their ratio. The same workers do both, so that the machine's speed affects both alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.photos import make_photos
from benchmarks.pipeline import MODELS
from benchmarks.running_worker import RunningWorker
from panopticon.cards.cards import ModelCard
from panopticon.interfaces import Queue, Store
from panopticon.messages import Lane
from panopticon.models import find_card, parse_version
from panopticon.settings import Settings
from storage.originals.files import uri_of
from storage.stores import open_store
from tests.stranger_uris import NOT_SERVED
from workers.worker.run import prepare_model

POLL_S = 0.02


class Fleet:
    """Several workers on one database, and the photos that they are given."""

    def __init__(self, card: ModelCard, queue: Queue, store: Store, photos: Sequence[Path]) -> None:
        self._card = card
        self._queue = queue
        self._store = store
        self._photos = photos

    def store_good(self, *, bad: Sequence[bytes] = ()) -> float:
        """Submit the bad messages and behind them every photo; return the seconds until all are stored."""
        good = {uuid.uuid4().hex: uri_of(bytes(path)) for path in self._photos}
        bodies = [_body(image_id, uri) for image_id, uri in good.items()]
        begun_s = time.perf_counter()
        self._queue.submit([*bad, *bodies], Lane.LIVE)
        while len(self._store.outputs.get(list(good), self._card.version_name)) < len(good):
            time.sleep(POLL_S)
        return time.perf_counter() - begun_s

    def dead(self, bodies: Sequence[bytes]) -> int:
        """Return how many of these messages have failed."""
        ids = [str(json.loads(body)["image_id"]) for body in bodies]
        return len(self._store.outputs.failures_of(ids))


@contextmanager
def fleet(card: ModelCard, folder: Path, *, workers: int, photos: Sequence[Path]) -> Iterator[Fleet]:
    """Yield a fleet on a new database, which may read files of the folder of the photos only."""
    places = {"file_roots": str(photos[0].parent)}
    made = [
        RunningWorker(card.version_name, folder=folder, models_dir=MODELS, places=places)
        for _ in range(workers)
    ]
    with ExitStack() as at_the_end:
        for worker in made:
            worker.start()
            at_the_end.callback(worker.stop)
        store = at_the_end.enter_context(closing(open_store(made[0].database)))
        yield Fleet(card, made[0].broker.model_queue(card.version_name), store, photos)


def bad_messages(folder: Path, *, missing: int) -> list[bytes]:
    """Return a message of every kind of URI that is not served, and many of paths that do not exist."""
    uris = [*NOT_SERVED.values(), *(f"file://{folder}/absent/{number}.jpg" for number in range(missing))]
    return [_body(uuid.uuid4().hex, uri) for uri in uris]


def _body(image_id: str, uri: str) -> bytes:
    # Not an ImageMessage: some of these URIs are too long for one, as a stranger's may be.
    return json.dumps({"image_id": image_id, "image_uri": uri}).encode()


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run each round with new workers on a new database, in which nothing of the round before waits."""
    card = find_card(parse_version(options.model), MODELS)
    prepare_model(card, Settings())
    photos = make_photos(folder / "photos", count=options.images, width_px=500, height_px=375)
    alone_s, behind_s, dead = [], [], []
    for number in range(options.rounds):
        round_folder = folder / str(number)
        round_folder.mkdir()
        bad = bad_messages(photos[0].parent, missing=options.missing)
        with fleet(card, round_folder, workers=options.workers, photos=photos) as running:
            # The first batches are slower than the rest.
            running.store_good()
            alone_s.append(running.store_good())
            behind_s.append(running.store_good(bad=bad))
            dead.append(running.dead(bad))
    ratios = [behind / alone for behind, alone in zip(behind_s, alone_s, strict=True)]
    return {
        "workers": options.workers,
        "good_images": options.images,
        "bad_messages": len(NOT_SERVED) + options.missing,
        "alone_s": [round(seconds, 2) for seconds in alone_s],
        "behind_bad_messages_s": [round(seconds, 2) for seconds in behind_s],
        "failed_by_then": dead,
        "ratio": round(statistics.median(ratios), 2),
        "ratio_of_each_round": [round(ratio, 2) for ratio in ratios],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tagger@1")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--images", type=int, default=200, help="good photos")
    parser.add_argument("--missing", type=int, default=300, help="messages of paths that do not exist")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(measure(Path(name), options), indent=2))


if __name__ == "__main__":
    main()
