"""An image on a retry delay has a record, and one that is deleted meanwhile is not run again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from panopticon.errors import Transient
from panopticon.results.outputs import CatalogueImage, OutputKey
from tests.workers.worker.consumer_bench import ConsumerBench, consumer_bench, not_run, ran


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ConsumerBench]:
    with consumer_bench(tmp_path, retry_delays_s=(10.0, 60.0)) as made:
        yield made


def row(*, revision: int, event: str) -> CatalogueImage:
    return CatalogueImage(image_id="1", revision=revision, image_uri="", event=event, occurred_at_ms=0)


class TestTheRecord:
    def test_it_is_there_while_the_message_waits_and_holds_the_latest_attempt(
        self, bench: ConsumerBench
    ) -> None:
        bench.model.answer = not_run(Transient("io_error", "EIO"))
        bench.submit("1", revision=4)
        for attempts, delay_s in ((1, 10.0), (2, 60.0)):
            seen = len(bench.model.seen)
            bench.run_until(lambda seen=seen: len(bench.model.seen) > seen)  # type: ignore[misc]
            bench.run_until(lambda: bench.depth().retrying == 1)
            record = bench.retrying()["1"]
            assert record.key == OutputKey(image_id="1", model="colour", version=1, revision=4)
            assert (record.reason, record.detail, record.attempts) == ("io_error", "EIO", attempts)
            assert record.retry_at_ms - record.last_at_ms == delay_s * 1000

    def test_a_death_takes_its_place(self, bench: ConsumerBench) -> None:
        bench.model.answer = not_run(Transient("io_error"))
        bench.submit("1")
        bench.run_until_settled()
        assert (list(bench.dead()), bench.retrying()) == (["1"], {})

    def test_an_image_whose_host_is_down_has_one_too_and_is_written_once_for_each_delay(
        self, tmp_path: Path
    ) -> None:
        with consumer_bench(tmp_path, retry_delays_s=(10.0,), breaker_failures=1) as bench:
            bench.model.answer = not_run(Transient("connection_failed"))
            bench.submit("1", image_uri="http://down/1")
            bench.run_until(lambda: bench.depth().retrying == 1)
            assert (bench.retrying()["1"].reason, bench.retrying()["1"].attempts) == ("host_down", 0)
            for _ in range(2):
                bench.clock.now_s += 10
                bench.run_until(lambda: bench.depth().retrying == 0)
                bench.run_until(lambda: bench.depth().retrying == 1)
            writes = bench.journal.steps.count("outputs.put_failures")
            assert writes == bench.journal.steps.count("queue.retry") == 3


class TestDeletedMeanwhile:
    @pytest.mark.parametrize("revision", [0, 1])
    def test_an_image_that_was_erased_while_it_waited_is_not_run_again(
        self, bench: ConsumerBench, revision: int
    ) -> None:
        bench.model.answer = not_run(Transient("io_error"))
        bench.submit("1")
        bench.run_until(lambda: bench.depth().retrying == 1)
        bench.store.catalogue.put([row(revision=revision, event="deleted")])
        bench.store.outputs.erase(["1"])
        bench.model.answer = ran
        bench.run_until_settled()
        assert len(bench.model.seen) == 1
        assert (bench.stored(), bench.retrying(), bench.published()) == ([], {}, [])

    @pytest.mark.parametrize(("revision", "event"), [(3, "deleted"), (4, "uploaded"), (5, "uploaded")])
    def test_an_image_that_was_uploaded_again_since_or_that_is_not_deleted_is_run(
        self, bench: ConsumerBench, revision: int, event: str
    ) -> None:
        bench.model.answer = not_run(Transient("io_error"))
        bench.submit("1", revision=4)
        bench.run_until(lambda: bench.depth().retrying == 1)
        bench.store.catalogue.put([row(revision=revision, event=event)])
        bench.model.answer = ran
        bench.run_until_settled()
        assert bench.stored() == ["1"]

    def test_a_fresh_image_is_not_looked_up_in_the_catalogue(self, bench: ConsumerBench) -> None:
        bench.submit("1")
        bench.run_until_settled()
        assert "catalogue.get" not in bench.journal.steps
