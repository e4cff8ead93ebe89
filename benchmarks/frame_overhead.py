"""CPU time of a model process and its parent for everything but decode and run, on a model that does nothing.

`python -m benchmarks.frame_overhead` drives one ModelClient as a serving thread does: it waits for the
client's descriptor, with one image in flight and with eight. It prints JSON.
"""

from __future__ import annotations

import io
import json
import select
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psutil
from PIL import Image

from panopticon.cards.cards import ModelCard, read_card
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.settings import Settings
from workers.model_process.client import ModelClient

IMAGES = 4000
ALIVE_S = 1.2
"""Time within which the process reports its CPU seconds."""
NULL_CARD = Path(__file__).parents[1] / "tests" / "models" / "null" / "card.toml"


def main() -> None:
    """Measure with one image in flight, then with eight, and print both."""
    card = read_card(NULL_CARD)
    results = {}
    for in_flight in (1, 8):
        with tempfile.TemporaryDirectory() as folder:
            results[f"{in_flight} in flight"] = _measure(card, Path(folder), in_flight)
    json.dump(results, sys.stdout, indent=1)
    sys.stdout.write("\n")


def _measure(card: ModelCard, folder: Path, in_flight: int) -> dict[str, float]:
    metrics = Metrics()
    settings = Settings.model_validate({"database": f"sqlite:///{folder}/p.db", "cache_dir": folder})
    with closing(ModelClient(card, settings, metrics=metrics)) as client:
        _run(client, 200, in_flight)
        assert client.pid is not None
        child = psutil.Process(client.pid)
        _let_report(client)
        steps_before, child_before, parent_before = (
            _steps_s(metrics, card),
            _cpu_s(child),
            time.process_time(),
        )
        switches_before = child.num_ctx_switches().voluntary, psutil.Process().num_ctx_switches().voluntary
        begun_s = time.monotonic()
        _run(client, IMAGES, in_flight)
        wall_s = time.monotonic() - begun_s
        parent_s, child_s = time.process_time() - parent_before, _cpu_s(child) - child_before
        switches = child.num_ctx_switches().voluntary, psutil.Process().num_ctx_switches().voluntary
        _let_report(client)
        steps_s = _steps_s(metrics, card) - steps_before
    return {
        "parent_cpu_ms": round(1000 * parent_s / IMAGES, 4),
        "child_cpu_ms_beside_steps": round(1000 * (child_s - steps_s) / IMAGES, 4),
        "steps_cpu_ms": round(1000 * steps_s / IMAGES, 4),
        "child_waits": round((switches[0] - switches_before[0]) / IMAGES, 2),
        "parent_waits": round((switches[1] - switches_before[1]) / IMAGES, 2),
        "images_per_s": round(IMAGES / wall_s),
    }


def _run(client: ModelClient, images: int, in_flight: int) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (16, 16), (250, 120, 60)).save(picture, "png")
    added = answered = 0
    while answered < images:
        while added < min(answered + in_flight, images):
            client.add(Lane.LIVE, encoded=picture.getvalue())
            added += 1
        answered += len(client.poll(wait_s=0))
        descriptor = client.fileno()
        all_sent = added == min(answered + in_flight, images)
        if descriptor is not None and answered < images and all_sent:
            select.select([descriptor], [], [], 1.0)


def _let_report(client: ModelClient) -> None:
    until_s = time.monotonic() + ALIVE_S
    while time.monotonic() < until_s:
        client.poll(wait_s=0.1)


def _steps_s(metrics: Metrics, card: ModelCard) -> float:
    get = metrics.registry.get_sample_value
    name = "panopticon_model_cpu_seconds_total"
    return sum(
        get(name, {"model": str(card.version_name), "step": step}) or 0.0 for step in ("decode", "run")
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
