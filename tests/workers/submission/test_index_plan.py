"""A plan contains what has neither an output nor a final failure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.contracts.examples import NOON_MS, TAGGER, failure, image, key, retrying
from tests.house import House
from tests.panopticon.exif.samples import exif, jpeg_with, taken
from workers.submission.index_plan import make_plan
from workers.submission.submit import Submission, body_of, entry_of_row, scan_paths


def test_an_image_on_a_retry_delay_is_missing_and_a_dead_one_is_not(house: House) -> None:
    rows = [image("waits"), image("dead")]
    house.store.catalogue.put(rows)
    house.store.outputs.put_failures([retrying(key("waits")), failure(key("dead"))])
    submission = Submission(entries=[entry_of_row(row) for row in rows])
    plan = make_plan(submission, [TAGGER], house.store)
    assert [entry.image_id for entry in plan.missing[TAGGER]] == ["waits"]
    assert plan.dead == 1


def test_a_photo_that_is_indexed_keeps_its_time_for_a_further_version(house: House, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg_with(exif(taken())))
    submission = scan_paths([str(tmp_path / "a.jpg")], house.store)
    (entry,) = submission.entries
    house.store.catalogue.put([replace(image(entry.image_id), image_uri=entry.image_uri or "", revision=0)])
    plan = make_plan(submission, [TAGGER], house.store)
    assert plan.new == []
    (again,) = plan.missing[TAGGER]
    assert b'"occurred_at":"2026-11-21T12:00:00Z"' in body_of(again, now_ms=NOON_MS)
