"""The contract of every ModelRunner: one answer for each image, fetched or handed over as bytes."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from panopticon.interfaces import ModelRunner
from panopticon.messages import Lane
from panopticon.scheduling.items import Answer, Ran

PATIENCE_S = 30.0


class ModelRunnerContract:
    """A subclass supplies `runner`, which is closed after the test, `uri` and `encoded`: one image, twice."""

    @pytest.fixture
    def ready(self, runner: ModelRunner) -> ModelRunner:
        """The runner, once its model has greeted."""
        deadline_s = time.monotonic() + PATIENCE_S
        while runner.hello is None:
            assert runner.down is None, str(runner.down)
            assert time.monotonic() < deadline_s
            runner.poll(wait_s=0.05)
        return runner

    def answers(self, runner: ModelRunner, number: int) -> list[Answer]:
        """The next answers, and any that follow them at once."""
        deadline_s = time.monotonic() + PATIENCE_S
        answers: list[Answer] = []
        while len(answers) < number:
            assert time.monotonic() < deadline_s, f"{len(answers)} of {number} answers"
            answers += runner.poll(wait_s=0.05)
        return answers + runner.poll(wait_s=0.05)

    def test_a_model_that_has_greeted_is_up_and_has_credit_for_a_batch_at_least(
        self, ready: ModelRunner
    ) -> None:
        assert ready.hello is not None
        assert ready.down is None
        assert 0 < ready.hello.best_batch == ready.best_batch <= ready.credit

    def test_without_images_there_are_no_answers(self, ready: ModelRunner) -> None:
        assert ready.poll(wait_s=0.05) == []

    def test_each_image_of_either_lane_is_answered_once(self, ready: ModelRunner, uri: str) -> None:
        items = [ready.add(lane, uri=uri) for lane in (Lane.BACKFILL, Lane.LIVE, Lane.BACKFILL)]
        answers = self.answers(ready, len(items))
        assert Counter(answer.item.id for answer in answers) == Counter(item.id for item in items)
        assert all(isinstance(answer, Ran) for answer in answers)
        assert {answer.item for answer in answers} == set(items)

    def test_more_images_than_there_is_credit_for_are_all_answered(
        self, ready: ModelRunner, uri: str
    ) -> None:
        items = [ready.add(Lane.LIVE, uri=uri) for _ in range(2 * ready.credit + 1)]
        answers = self.answers(ready, len(items))
        assert Counter(answer.item.id for answer in answers) == Counter(item.id for item in items)

    def test_an_image_whose_bytes_are_handed_over_has_the_answer_of_the_fetched_one(
        self, ready: ModelRunner, uri: str, encoded: bytes
    ) -> None:
        ready.add(Lane.LIVE, uri=uri)
        ready.add(Lane.LIVE, encoded=encoded)
        vectors = [answer.vector.tolist() for answer in self.answers(ready, 2) if isinstance(answer, Ran)]
        assert len(vectors) == 2
        assert vectors[0] == vectors[1]

    def test_released_images_are_not_answered_and_later_ones_are(self, ready: ModelRunner, uri: str) -> None:
        items = [ready.add(Lane.LIVE, uri=uri) for _ in range(3)]
        assert sorted(item.id for item in ready.release()) == [item.id for item in items]
        later = ready.add(Lane.LIVE, uri=uri)
        assert [answer.item.id for answer in self.answers(ready, 1)] == [later.id]
        assert ready.release() == []
