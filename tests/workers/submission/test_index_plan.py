"""A plan contains what has neither an output nor a final failure."""

from __future__ import annotations

from tests.contracts.examples import TAGGER, failure, image, key, retrying
from tests.house import House
from workers.submission.index_plan import make_plan
from workers.submission.submit import Submission, entry_of_row


def test_an_image_on_a_retry_delay_is_missing_and_a_dead_one_is_not(house: House) -> None:
    rows = [image("waits"), image("dead")]
    house.store.catalogue.put(rows)
    house.store.outputs.put_failures([retrying(key("waits")), failure(key("dead"))])
    submission = Submission(entries=[entry_of_row(row) for row in rows])
    plan = make_plan(submission, [TAGGER], house.store)
    assert [entry.image_id for entry in plan.missing[TAGGER]] == ["waits"]
    assert plan.dead == 1
