"""The metrics by which an operator sees load, refusals and failures of the service."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.scheduling.gate import Gate, Place
from panopticon.scheduling.items import NotRun
from tests.workers.serving.hand_replica import item_of
from tests.workers.serving.running import running
from tests.workers.serving.test_served_model import NULL, Bench
from workers.serving.api.analyze.admission import admitted
from workers.serving.catalogue import ServedCatalogue
from workers.serving.readiness import Readiness
from workers.serving.served_model import CLIENT_GONE, ServedModel
from workers.serving.watch import Watch

MODEL = "null@1"


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.replica.greet()
    return bench


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """Return the value of one sample; 0 if nothing was counted."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


def test_an_image_that_gets_a_place_is_counted_by_its_lane(bench: Bench) -> None:
    bench.model.enter(Lane.LIVE, 1)
    bench.model.enter(Lane.BACKFILL, 1)
    bench.model.enter(Lane.BACKFILL, 1)
    name = "panopticon_images_admitted_total"
    assert value(bench.metrics, name, model=MODEL, lane="live") == 1
    assert value(bench.metrics, name, model=MODEL, lane="backfill") == 2


def test_an_image_without_room_is_counted_by_the_limit_that_was_reached(bench: Bench) -> None:
    bench.model.enter(Lane.LIVE, 1000)
    bench.model.enter(Lane.LIVE, 1)
    for _ in range(33):
        bench.model.enter(Lane.BACKFILL, 0)
    for _ in range(32):
        bench.model.enter(Lane.LIVE, 0)
    refused = {
        limit: value(bench.metrics, "panopticon_images_over_limit_total", model=MODEL, limit=limit)
        for limit in ("places", "bytes", "backfill")
    }
    assert refused == {"places": 1, "bytes": 1, "backfill": 1}


def test_a_request_for_which_the_service_has_no_room_is_counted_and_its_image_is_not(bench: Bench) -> None:
    gate = Gate(max_places=1, max_bytes=1000)
    assert isinstance(gate.enter(Lane.LIVE, 1), Place)
    with admitted(gate, [bench.model], Lane.LIVE, 1, metrics=bench.metrics) as admission:
        assert admission.refusal is not None
    assert value(bench.metrics, "panopticon_requests_over_limit_total", limit="places") == 1
    assert value(bench.metrics, "panopticon_images_admitted_total", model=MODEL, lane="live") == 0


def test_the_wait_of_an_image_ends_when_a_process_gets_it(bench: Bench) -> None:
    bench.jobs(5)
    bench.clock.sleep(3)
    bench.replica.answer(2)
    name = "panopticon_wait_seconds"
    assert value(bench.metrics, f"{name}_count", model=MODEL) == 5
    assert value(bench.metrics, f"{name}_sum", model=MODEL) == 3


def test_an_image_whose_time_is_over_is_counted_once(bench: Bench) -> None:
    bench.jobs(4)
    bench.job("late", within_s=5)
    bench.clock.sleep(6)
    bench.replica.answer(2)
    assert value(bench.metrics, "panopticon_images_dropped_total", model=MODEL, reason="deadline") == 1


def test_an_image_that_runs_at_its_deadline_is_counted_too(bench: Bench) -> None:
    bench.model.forget(bench.job())
    assert value(bench.metrics, "panopticon_images_dropped_total", model=MODEL, reason="deadline") == 1


def test_an_image_whose_client_has_left_is_counted_by_that(bench: Bench) -> None:
    bench.model.forget(bench.job(), reason=CLIENT_GONE)
    assert value(bench.metrics, "panopticon_images_dropped_total", model=MODEL, reason="client_gone") == 1


def test_a_conviction_is_counted_and_the_refusals_that_follow_from_it_are_not(bench: Bench) -> None:
    job = bench.job(encoded=b"killer")
    bench.convict(NotRun(item=item_of(job), error=Rejected("killed_process", "again and again")))
    bench.job(encoded=b"killer")
    assert value(bench.metrics, "panopticon_images_convicted_total", model=MODEL) == 1


def test_the_gauges_show_what_waits_and_what_is_under_way_and_end_with_the_version(bench: Bench) -> None:
    def serve(_card: ModelCard) -> ServedModel:
        return bench.model

    def gauges() -> list[float]:
        names = ("images_waiting", "images_under_way", "ready_replicas")
        return [value(bench.metrics, f"panopticon_{name}", model=MODEL) for name in names]

    async def load_and_unload() -> None:
        catalogue = ServedCatalogue(
            serve=serve, active=lambda _: None, changed=lambda _: None, unload_timeout_s=1.0
        )
        watch = Watch(catalogue, Readiness(bench.metrics), metrics=bench.metrics, trouble=lambda: None)
        served = catalogue.load(NULL)
        place = served.enter(Lane.LIVE, 1)
        assert isinstance(place, Place)
        bench.jobs(6)
        watch.look(now_s=0.0)
        assert gauges() == [2, 1, 1]
        place.leave()
        catalogue.unload(served)
        while list(catalogue):
            await asyncio.sleep(0)
        watch.look(now_s=0.1)
        assert gauges() == [0, 0, 0]

    asyncio.run(load_and_unload())


def test_a_service_shows_load_runs_and_batches_of_each_model(tmp_path: Path) -> None:
    with running(tmp_path, "null@1") as service:
        assert service.analyze().status == 200
        shown = service.get("/metrics").body.decode()
    for sample in (
        'panopticon_images_admitted_total{lane="live",model="null@1"} 1.0',
        'panopticon_wait_seconds_count{model="null@1"} 1.0',
        'panopticon_ready_replicas{model="null@1"} 1.0',
        'panopticon_batch_images_count{model="null@1"}',
        'panopticon_run_seconds_count{model="null@1"}',
    ):
        assert sample in shown
