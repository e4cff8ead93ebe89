"""A real worker with a real service: whatever befalls it, stored = submitted, and no attempt is spent."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from panopticon.messages import Lane
from panopticon.results.outputs import FailureState
from tests.servers.blackhole import Blackhole
from tests.servers.espresso import ServiceProcess
from tests.workers.faults.pipeline import Pipeline, pipeline
from tests.workers.faults.test_hostile_images import GREY, photos_with_one_red
from tests.workers.remote_model.far_away import FarAway

PARKED = "parked: model unavailable"


def service_of(folder: Path, model: str, **settings: Any) -> ServiceProcess:
    """Return a service that may read the photos of the worker."""
    return ServiceProcess(folder, model, file_roots=[folder], **settings)


@contextmanager
def worker_of(folder: Path, model: str, url: str, **settings: object) -> Iterator[Pipeline]:
    """A pipeline whose worker has its model run by the service at this URL."""
    with pipeline(folder, model, espresso=url, park_max_s=0.2, **settings) as run:
        yield run


def photos(run: Pipeline, count: int) -> dict[str, Path]:
    return {f"{number}": run.picture(f"{number}", (number % 250, 9, 90)) for number in range(count)}


def assert_all_stored_without_an_attempt(run: Pipeline, names: dict[str, Path]) -> None:
    run.wait_until_settled()
    assert set(run.stored(list(names))) == set(names)
    # A retry would have left a record, and so would a failure.
    assert run.store.outputs.failures_of(list(names)) == []


@contextmanager
def silenced(port: int) -> Iterator[Blackhole]:
    """A proxy that a test can silence."""
    proxy = Blackhole(port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def kill_and_wait(service: ServiceProcess, run: Pipeline) -> None:
    """Kill the service in the middle of the work, and wait until the worker is parked."""
    parked = run.log.count(PARKED)
    service.kill()
    run.wait_until(lambda: run.log.count(PARKED) > parked)
    assert run.waiting() > 0, "the fault came too late to hit anything"


@pytest.mark.parametrize("send", ["uri", "bytes"])
def test_a_service_that_is_killed_and_started_again_loses_no_image_and_spends_no_attempt(
    tmp_path: Path, send: str
) -> None:
    with (
        service_of(tmp_path, "slow@1").running() as service,
        worker_of(tmp_path, "slow", service.url, espresso_send=send) as run,
    ):
        names = photos(run, 300)
        run.submit(names)
        run.start_worker()
        for _ in range(2):
            run.resumed_s(list(names))
            kill_and_wait(service, run)
            service.start()
        assert_all_stored_without_an_attempt(run, names)
        assert "resumed: model is back" in run.log


def test_a_worker_that_is_started_before_its_service_waits_for_it_and_ends_at_once_on_sigterm(
    tmp_path: Path,
) -> None:
    service = service_of(tmp_path, "null@1")
    with worker_of(tmp_path, "null", service.url) as run:
        names = photos(run, 10)
        run.submit(names)
        worker = run.start_worker()
        run.wait_until(lambda: PARKED in run.log)
        assert "cannot be reached (Connection refused)" in run.log
        service.start()
        try:
            assert_all_stored_without_an_attempt(run, names)
        finally:
            service.kill()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0


def test_a_saturated_service_slows_the_worker_down_and_spends_no_attempt(tmp_path: Path) -> None:
    with (
        service_of(tmp_path, "slow@1", gate=1, service_gate=1).running() as service,
        worker_of(tmp_path, "slow", service.url) as run,
    ):
        live, backfill = photos(run, 30), photos(run, 60)
        names = {**live, **backfill}
        run.submit({name: path for name, path in names.items() if name not in live}, Lane.BACKFILL)
        run.submit(live)
        # Both want the one place that there is.
        for _ in range(2):
            run.start_worker()
        assert_all_stored_without_an_attempt(run, names)
        assert "the service has no room (429)" in run.log


def test_a_service_that_is_far_away_is_slow_and_not_down(tmp_path: Path) -> None:
    with (
        service_of(tmp_path, "null@1").running() as service,
        FarAway(service.port, delay_s=1.5) as far,
        worker_of(tmp_path, "null", f"http://127.0.0.1:{far.port}", request_timeout_s=3.0) as run,
    ):
        names = photos(run, 20)
        run.submit(names)
        run.start_worker()
        assert_all_stored_without_an_attempt(run, names)
        assert PARKED not in run.log


def test_a_service_that_falls_silent_parks_the_worker_until_it_speaks_again(tmp_path: Path) -> None:
    with (
        service_of(tmp_path, "slow@1").running() as service,
        silenced(service.port) as proxy,
        worker_of(tmp_path, "slow", f"http://127.0.0.1:{proxy.port}", request_timeout_s=1.0) as run,
    ):
        names = photos(run, 300)
        run.submit(names)
        run.start_worker()
        run.wait_until(lambda: bool(run.stored(list(names))))
        with proxy.silent():
            run.wait_until(lambda: PARKED in run.log)
            assert run.waiting() > 0, "the fault came too late to hit anything"
        assert_all_stored_without_an_attempt(run, names)


@pytest.mark.parametrize("send", ["uri", "bytes"])
def test_a_photo_that_kills_its_model_is_dead_by_the_service_and_the_31_others_are_stored(
    tmp_path: Path, send: str
) -> None:
    with (
        service_of(tmp_path, "exits@1").running() as service,
        worker_of(tmp_path, "exits", service.url, espresso_send=send) as run,
    ):
        names = photos_with_one_red(run, 32)
        run.submit(names)
        run.start_worker()
        run.wait_until_settled()
        assert set(run.stored(list(names))) == set(names) - {"red"}
        (failure,) = run.store.outputs.failures_of(list(names))
        assert (failure.key.image_id, failure.state) == ("red", FailureState.DEAD)
        assert (failure.reason, failure.attempts) == ("killed_process", 0)


def test_a_photo_whose_conviction_takes_longer_than_the_service_waits_does_not_go_round_for_ever(
    tmp_path: Path,
) -> None:
    """It hangs its model process for longer than a request may take; the service remembers its URI."""
    with (
        service_of(tmp_path, "hangs@1", item_timeout_s=2.0, request_timeout_s=1.0).running() as service,
        worker_of(tmp_path, "hangs", service.url, retry_delays_s=(0.1,)) as run,
    ):
        names = photos_with_one_red(run, 32)
        run.submit(names)
        run.start_worker()
        run.wait_until_settled()
        assert set(run.stored(list(names))) == set(names) - {"red"}
        (failure,) = run.store.outputs.failures_of(list(names))
        assert (failure.key.image_id, failure.state, failure.reason) == (
            "red",
            FailureState.DEAD,
            "timed_out",
        )


def test_a_model_whose_every_run_dies_parks_the_worker_and_no_image_is_dead(tmp_path: Path) -> None:
    with (
        service_of(tmp_path, "dies@1", park_max_s=0.2).running() as service,
        worker_of(tmp_path, "dies", service.url) as run,
    ):
        names = {"1": run.picture("1", GREY), "2": run.picture("2", GREY)}
        run.submit(names)
        worker = run.start_worker()
        run.wait_until(lambda: PARKED in run.log)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert run.store.outputs.failures_of(list(names)) == []
        assert run.waiting() == 2
