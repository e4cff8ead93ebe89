from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from panopticon.cards.cards import read_card
from panopticon.errors import PanopticonError, Rejected, Unavailable
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.scheduling.gate import Gate
from panopticon.scheduling.items import Hello, Item, NotRun, Ran
from tests.workers.queues.fake_clock import FakeClock
from tests.workers.serving.hand_replica import HandReplica, item_of, ran
from workers.serving import served_model
from workers.serving.jobs import DeadlinePassed, Job
from workers.serving.replica import Replica, ReplicaState, Turn
from workers.serving.served_model import CONVICTED_S, PROBE_EVERY_S, RECENT_S, ModelState, ServedModel

NULL = read_card(Path(__file__).parents[2] / "models" / "null" / "card.toml")


class Bench:
    """A served model with replicas that the test answers by hand, and a clock that it moves."""

    def __init__(self, replicas: int = 1) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.replicas: list[HandReplica] = []

        def make(
            report: Callable[[Replica, Turn], None], convict: Callable[[NotRun], None]
        ) -> list[HandReplica]:
            self.convict = convict
            self.replicas = [HandReplica(report) for _ in range(replicas)]
            return self.replicas

        self.model = ServedModel(
            NULL,
            replicas=make,
            gate=Gate(max_places=64, max_bytes=1000),
            metrics=self.metrics,
            clock=self.clock.monotonic,
        )
        self.model.start()

    @property
    def replica(self) -> HandReplica:
        return self.replicas[0]

    def job(
        self,
        name: str = "",
        *,
        client: str = "ann",
        lane: Lane = Lane.LIVE,
        encoded: bytes | None = b"picture",
        within_s: float = 100.0,
    ) -> Job:
        """Submit one image; its name is its URI."""
        job = Job(
            client=client,
            lane=lane,
            uri=name,
            encoded=encoded,
            deadline_s=self.clock.monotonic() + within_s,
            finished=lambda _: None,
        )
        self.model.submit(job)
        return job

    def jobs(self, number: int) -> list[Job]:
        return [self.job(str(each)) for each in range(number)]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.replica.greet()
    return bench


def error_of(job: Job) -> PanopticonError:
    assert isinstance(job.outcome, PanopticonError)
    return job.outcome


def test_an_idle_process_gets_an_image_at_once_and_its_answer_finishes_it(bench: Bench) -> None:
    job = bench.job()
    assert bench.replica.held == [job]
    bench.replica.answer()
    assert isinstance(job.outcome, Ran)


def test_two_idle_processes_get_one_image_each() -> None:
    bench = Bench(replicas=2)
    for replica in bench.replicas:
        replica.greet()
    jobs = bench.jobs(2)
    assert [replica.held for replica in bench.replicas] == [[jobs[0]], [jobs[1]]]


def test_images_gather_while_a_batch_runs_and_another_is_decoded(bench: Bench) -> None:
    jobs = bench.jobs(10)
    assert bench.replica.held == jobs[:4]
    assert bench.model.waiting == 6
    bench.replica.answer(2)
    assert bench.replica.held == jobs[2:6]


def test_clients_take_turns_for_the_next_place(bench: Bench) -> None:
    bench.jobs(4)
    for number in range(3):
        bench.job(f"ann {number}", client="ann")
    bench.job("bob", client="bob")
    bench.replica.answer(4)
    assert [job.uri for job in bench.replica.held] == ["ann 0", "bob", "ann 1", "ann 2"]


def test_live_images_go_before_backfill(bench: Bench) -> None:
    bench.jobs(4)
    bench.job("old", lane=Lane.BACKFILL)
    bench.job("new")
    bench.replica.answer(1)
    assert bench.replica.held[-1].uri == "new"


def test_an_image_whose_time_is_over_costs_no_run(bench: Bench) -> None:
    bench.jobs(4)
    late = bench.job("late", within_s=5)
    bench.clock.sleep(6)
    bench.replica.answer(2)
    assert isinstance(late.outcome, DeadlinePassed)
    assert late not in bench.replica.held


def test_an_image_that_cannot_be_answered_in_time_costs_no_run(bench: Bench) -> None:
    bench.jobs(2)
    bench.clock.sleep(10)
    bench.replica.answer()
    bench.jobs(1)
    assert isinstance(bench.job("hurried", within_s=5).outcome, DeadlinePassed)


def test_an_idle_process_tries_a_hurried_image_though_the_one_before_was_slow(bench: Bench) -> None:
    bench.jobs(1)
    bench.clock.sleep(10)
    bench.replica.answer()
    hurried = bench.job("hurried", within_s=5)
    assert bench.replica.held == [hurried]
    bench.replica.answer()
    assert isinstance(hurried.outcome, Ran)


def test_the_wait_is_that_of_everything_that_is_admitted(bench: Bench) -> None:
    bench.jobs(1)
    bench.clock.sleep(2)
    bench.replica.answer()
    for _ in range(3):
        bench.model.gate.enter(Lane.LIVE, 1)
    assert bench.model.wait_s() == pytest.approx(6)


def test_an_image_that_nobody_waits_for_is_taken_out(bench: Bench) -> None:
    jobs = bench.jobs(6)
    bench.model.forget(jobs[5])
    bench.model.forget(jobs[0])
    assert bench.model.waiting == 1
    assert bench.replica.cancelled == [jobs[0]]
    bench.replica.turn(returned=[jobs[0]])
    assert bench.replica.held == jobs[1:5]
    assert jobs[0].outcome is None


def test_when_a_process_dies_its_images_go_to_another_one() -> None:
    bench = Bench(replicas=2)
    for replica in bench.replicas:
        replica.greet()
    first, second = bench.jobs(2)
    bench.replicas[0].die()
    assert bench.replicas[1].held == [second, first]
    bench.replicas[1].answer(2)
    assert isinstance(first.outcome, Ran)


def test_when_the_only_process_dies_its_images_wait_for_the_next_one(bench: Bench) -> None:
    jobs = bench.jobs(5)
    bench.replica.die()
    assert bench.replica.held == []
    assert bench.model.state is ModelState.LOADING
    bench.replica.greet()
    assert bench.replica.held == jobs[:4]
    assert bench.model.waiting == 1


def test_a_model_that_is_down_refuses_what_waits_and_what_comes(bench: Bench) -> None:
    jobs = bench.jobs(6)
    bench.replica.go_down("its self-test failed")
    later = bench.job()
    for job in [*jobs, later]:
        error = error_of(job)
        assert isinstance(error, Unavailable)
        assert error.reason == "its self-test failed"


def test_a_model_that_is_down_refuses_the_suspect_that_its_process_keeps(bench: Bench) -> None:
    suspect = bench.job()
    bench.replica.turn(ReplicaState(down=Unavailable("model", "it died of a good picture")))
    assert isinstance(error_of(suspect), Unavailable)
    assert bench.replica.cancelled == [suspect]
    bench.replica.turn(returned=[suspect])
    bench.replica.greet()
    assert bench.replica.held == []


def test_one_process_that_is_down_leaves_the_others_at_work() -> None:
    bench = Bench(replicas=2)
    bench.replicas[0].go_down("no memory")
    bench.replicas[1].greet()
    assert bench.model.state is ModelState.READY
    assert bench.job() in bench.replicas[1].held


def test_an_image_that_ended_its_process_is_refused_the_next_time_without_a_run(bench: Bench) -> None:
    job = bench.job(encoded=b"killer")
    bench.model.forget(job)
    bench.replica.turn(returned=[job])
    bench.convict(NotRun(item=item_of(job), error=Rejected("killed_process", "again and again")))
    again = bench.job(encoded=b"killer")
    assert isinstance(error := error_of(again), Rejected)
    assert error.reason == "killed_process"
    assert bench.replica.held == []
    assert bench.job(encoded=b"another") in bench.replica.held


def test_a_uri_whose_image_ended_its_process_is_refused_the_next_time(bench: Bench) -> None:
    job = bench.job("https://photos.example/killer", encoded=None)
    bench.replica.turn(returned=[job])
    bench.convict(NotRun(item=item_of(job), error=Rejected("killed_process", "again and again")))
    assert isinstance(error_of(bench.job("https://photos.example/killer", encoded=None)), Rejected)
    assert bench.job("https://photos.example/another", encoded=None) in bench.replica.held


def test_after_an_hour_an_image_that_ended_its_process_is_tried_again(bench: Bench) -> None:
    job = bench.job(encoded=b"killer")
    bench.replica.turn(returned=[job])
    bench.convict(NotRun(item=item_of(job), error=Rejected("killed_process", "again and again")))
    bench.clock.sleep(CONVICTED_S)
    assert bench.job(encoded=b"killer", within_s=2 * CONVICTED_S) in bench.replica.held


def test_of_too_many_convictions_the_one_that_is_the_longest_ago_is_forgotten(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_model, "MAX_CONVICTED", 2)
    for name in (b"one", b"two", b"one", b"three"):
        failure = Rejected("killed_process", "again and again")
        bench.convict(NotRun(item=Item(id=1, lane=Lane.LIVE, encoded=name), error=failure))
    assert bench.job(encoded=b"two") in bench.replica.held
    assert isinstance(error_of(bench.job(encoded=b"one")), Rejected)


def test_an_image_that_was_only_rejected_runs_again(bench: Bench) -> None:
    bench.job(encoded=b"odd")
    bench.replica.refuse(Rejected("not_an_image"))
    assert bench.job(encoded=b"odd") in bench.replica.held


def test_an_idle_process_runs_the_control_picture_from_time_to_time(bench: Bench) -> None:
    bench.model.probe()
    assert bench.replica.held == []
    bench.clock.sleep(PROBE_EVERY_S)
    bench.model.probe()
    bench.model.probe()
    assert len(bench.replica.held) == 1
    bench.replica.answer()
    assert bench.model.ready_replicas == 1


def test_a_busy_process_is_not_probed(bench: Bench) -> None:
    jobs = bench.jobs(1)
    bench.clock.sleep(PROBE_EVERY_S)
    bench.model.probe()
    assert bench.replica.held == jobs


def test_a_process_that_has_not_answered_for_long_is_not_ready(bench: Bench) -> None:
    assert bench.model.ready_replicas == 1
    bench.jobs(1)
    bench.clock.sleep(RECENT_S + 1)
    assert bench.model.ready_replicas == 0
    bench.replica.answer()
    assert bench.model.ready_replicas == 1


def test_a_saturated_model_is_ready(bench: Bench) -> None:
    bench.jobs(500)
    assert bench.model.ready_replicas == 1


def test_before_its_self_test_a_process_gets_nothing() -> None:
    bench = Bench()
    job = bench.job()
    assert bench.replica.held == []
    bench.replica.greet(Hello(digest="d", engine="null", libraries="", best_batch=8, dim=3))
    assert bench.replica.held == [job]


def test_a_closed_model_refuses_what_waits(bench: Bench) -> None:
    jobs = bench.jobs(5)
    bench.model.close()
    assert isinstance(jobs[4].outcome, Unavailable)
    assert isinstance(jobs[0].outcome, Unavailable)
    assert isinstance(bench.job().outcome, Unavailable)
    assert bench.model.state is ModelState.UNLOADING


def test_a_model_that_is_about_to_end_gives_its_processes_nothing_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.job()
    # It takes a while to end.
    monkeypatch.setattr(bench.replica, "close", lambda: None)
    bench.model.close()
    bench.replica.turn(returned=[job])
    assert isinstance(job.outcome, Unavailable)
    bench.clock.sleep(PROBE_EVERY_S)
    bench.model.probe()
    assert bench.replica.held == []


def test_images_by_uri_that_hang_keep_no_image_out_that_came_as_bytes(bench: Bench) -> None:
    hanging = [bench.job(f"http://slow/{number}", encoded=None) for number in range(10)]
    assert bench.replica.held == hanging[:4]
    job = bench.job()
    assert bench.replica.held == [*hanging[:4], job]
    bench.replica.turn(answered=[(job, ran(job))])
    assert isinstance(job.outcome, Ran)


def test_the_time_of_a_source_is_not_the_time_of_the_model(bench: Bench) -> None:
    bench.job("http://slow/1", encoded=None)
    bench.clock.sleep(20)
    bench.replica.answer()
    bench.jobs(1)
    hurried = bench.job("hurried", within_s=5)
    bench.replica.answer(2)
    assert isinstance(hurried.outcome, Ran)


def test_the_time_until_a_process_is_back_is_not_the_time_of_an_image(bench: Bench) -> None:
    bench.jobs(1)
    bench.replica.die()
    bench.clock.sleep(20)
    bench.replica.greet()
    bench.clock.sleep(1)
    bench.replica.answer()
    bench.model.gate.enter(Lane.LIVE, 1)
    assert bench.model.wait_s() == pytest.approx(1)
