"""Compare the whole worker with a bare loop, as ratios of one run: `python -m benchmarks.pipeline`.

Prints one JSON object: images a second of the bare loop and of the worker on the same 500x375 JPEGs and their
`ratio`; CPU milliseconds per image of both processes that are not fetch, decode or run, measured with a null
model on tiny pictures; and the memory of both processes after 2,000 and after 20,000 of those.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bare_loop import BareLoop
from benchmarks.photos import make_photos
from benchmarks.running_worker import RunningWorker
from panopticon.cards.cards import read_card
from panopticon.models import find_card, parse_version
from panopticon.settings import Settings
from workers.worker.run import prepare_model

MODELS = Path(__file__).parent / "models"


def throughput(folder: Path, *, model: str, images: int, rounds: int) -> dict[str, Any]:
    """Run bare loop and worker in turn on the same files, so that the machine's speed affects both alike."""
    card, settings = find_card(parse_version(model), None), Settings()
    prepare_model(card, settings)
    photos = make_photos(folder / "photos", count=images, width_px=500, height_px=375)
    ways = BareLoop(card, cache_dir=settings.cache_dir).ways()
    worker = RunningWorker(card.version_name, folder=folder)
    worker.start()
    # The first batches are slower than the rest.
    worker.run(photos[:100])
    seconds: dict[str, list[float]] = {name: [] for name in [*ways, "worker"]}
    for _ in range(rounds):
        for name, run in {**ways, "worker": worker.run}.items():
            seconds[name].append(run(photos))
    worker.stop()
    return _rates(seconds, images)


def _rates(seconds: dict[str, list[float]], images: int) -> dict[str, Any]:
    rates = {name: images / statistics.median(runs) for name, runs in seconds.items()}
    worker_per_s = rates.pop("worker")
    best = max(rates, key=lambda name: rates[name])
    pairs = [bare / ours for bare, ours in zip(seconds[best], seconds["worker"], strict=True)]
    return {
        "images": images,
        "bare_loop_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "worker_per_s": round(worker_per_s, 1),
        "ratio": round(statistics.median(pairs), 3),
        "ratio_of_each_round": [round(pair, 3) for pair in pairs],
    }


def overhead(folder: Path, *, images: int) -> dict[str, Any]:
    """Measure CPU time outside fetch, decode and run, and memory, with a null model on tiny pictures."""
    card = read_card(MODELS / "null" / "card.toml")
    photos = make_photos(folder / "tiny", count=200, width_px=32, height_px=32)
    worker = RunningWorker(card.version_name, folder=folder, models_dir=MODELS)
    worker.start()
    _run_many(worker, photos, images // 10)
    memory_before, cpu_before = worker.memory_bytes(), worker.cpu()
    seconds = _run_many(worker, photos, images - images // 10)
    memory_after, cpu = worker.memory_bytes(), worker.cpu()
    worker.stop()
    counted = images - images // 10
    steps_s = cpu.model_steps_s - cpu_before.model_steps_s
    model_s = cpu.model_process_s - cpu_before.model_process_s
    return {
        "images": counted,
        "per_s": round(counted / seconds, 1),
        "consumer_ms_per_image": round(1000 * (cpu.consumer_s - cpu_before.consumer_s) / counted, 4),
        "model_process_ms_per_image": round(1000 * (model_s - steps_s) / counted, 4),
        "fetch_decode_run_ms_per_image": round(1000 * steps_s / counted, 4),
        "memory_mb_before": {name: round(size / 1e6, 1) for name, size in memory_before.items()},
        "memory_mb_after": {name: round(size / 1e6, 1) for name, size in memory_after.items()},
        "memory_growth": {
            name: round(memory_after[name] / memory_before[name] - 1, 4) for name in memory_after
        },
    }


def _run_many(worker: RunningWorker, photos: Sequence[Path], images: int) -> float:
    return sum(worker.run(photos) for _ in range(images // len(photos)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tagger@1")
    parser.add_argument("--images", type=int, default=1000, help="photos of the throughput part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny-images", type=int, default=20_000, help="pictures of the overhead part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = {
            "overhead": overhead(folder, images=options.tiny_images),
            "throughput": throughput(
                folder, model=options.model, images=options.images, rounds=options.rounds
            ),
        }
    print(json.dumps({**report, "ratio": report["throughput"]["ratio"]}, indent=2))


if __name__ == "__main__":
    main()
