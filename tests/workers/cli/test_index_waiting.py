"""`panopticon index` does not wait out long retry delays, and reports for what it waits and until when."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from panopticon.messages import ImageMessage, Lane, encode
from panopticon.models import parse_version
from panopticon.results.outputs import VersionName
from tests.end_to_end.command import MODELS, Installation
from tests.house import House
from workers.cli.index.waiting import Stalls, waiting_json, waiting_lines
from workers.submission.index_plan import Leased, Remaining, wait_until_done, waiting_images

NULL = parse_version("null@1")
FAILS = Path("/sys/class/net/lo/speed")
"""A regular file on Linux that opens, and whose every read fails."""


def on_delays(house: House, *delays_s: float, version: VersionName = NULL) -> None:
    """Put an image on each retry delay: `0`, `1` and so on."""
    queue = house.broker.model_queue(version)
    messages = [
        ImageMessage(image_id=str(number), image_uri=f"file:///photos/{number}.jpg")
        for number in range(len(delays_s))
    ]
    queue.submit([encode(message) for message in messages], Lane.LIVE)
    deliveries = queue.receive(max_live=len(delays_s), max_backfill=0, wait_s=0)
    for delivery, delay_s in zip(deliveries, delays_s, strict=True):
        queue.retry(delivery, delay_s=delay_s)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the file is one of Linux")
def test_a_file_that_cannot_be_read_now_does_not_hold_the_command(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "teal").save(tmp_path / "photo.png")
    (tmp_path / "fails.jpg").symlink_to(FAILS)
    house = Installation(
        folder=tmp_path,
        cache_dir=tmp_path / "cache",
        settings=(f"models_dir={MODELS}", "models=null@1", "retry_delays_s=3600"),
    )
    photos = ("photo.png", "fails.jpg")
    text = house.panopticon("index", *photos)
    assert "1 image could not be read by null@1; next try in " in text.out, text.err
    assert "or with a running panopticon worker --model null@1" in text.out
    (waiting,) = house.panopticon("index", *photos, "--json").json["retrying"]
    assert waiting["model"] == "null@1"
    broker = house.broker()
    # The image is still in the queue, once.
    assert broker.model_queue(NULL).depth()[Lane.LIVE].total == 1
    broker.close()


def test_a_short_rest_of_a_retry_delay_is_waited_for(house: House) -> None:
    on_delays(house, 0.3)
    seen: list[Remaining] = []

    def watch(left: Remaining) -> None:
        seen.append(left)
        if not left.retrying[NULL]:
            queue = house.broker.model_queue(NULL)
            queue.ack(queue.receive(max_live=1, max_backfill=0, wait_s=0))

    wait_until_done(house.broker, [NULL], watch=watch, every_s=0.01, retry_wait_s=60)
    assert (seen[0].only_retrying, seen[-1].none) == (True, True)


def test_a_long_retry_delay_is_waited_for_only_if_the_caller_wants_it(house: House) -> None:
    on_delays(house, 3600)
    wait_until_done(house.broker, [NULL], watch=lambda _: None, every_s=0.01, retry_wait_s=5)

    class EnoughError(Exception):
        pass

    readings: list[Remaining] = []

    def watch(left: Remaining) -> None:
        readings.append(left)
        if len(readings) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        wait_until_done(house.broker, [NULL], watch=watch, every_s=0.01)


def test_people_read_how_many_images_wait_when_they_are_due_and_who_tries_them(house: House) -> None:
    on_delays(house, 60, 3600)
    waiting = waiting_images(house.broker, [NULL])
    due_ms = [due for _, due in waiting[NULL].messages.values()]
    first, then, *names = waiting_lines(waiting, now_ms=due_ms[0] - 60_000)
    assert first.startswith("2 images could not be read by null@1; next try in 60 s (")
    assert " of the last one at " in first
    assert then == "  with the next panopticon index, or with a running panopticon worker --model null@1"
    assert names == ["  /photos/0.jpg", "  /photos/1.jpg"]
    assert json.loads(json.dumps(waiting_json(waiting)))[1]["image_id"] == "1"


def test_a_version_that_makes_no_progress_is_reported_once_with_the_end_of_its_wait() -> None:
    now_s = 0.0
    stalls = Stalls(clock=lambda: now_s)
    left = Remaining(images={NULL: 3}, others=0, leased={NULL: Leased(images=2, until_ms=1_795_262_400_000)})
    assert stalls.lines(left) == []
    now_s = 9.9
    assert stalls.lines(left) == []
    now_s = 10.0
    (line,) = stalls.lines(left)
    assert line.startswith(
        "waiting for 2 images that a worker of null@1 has on lease, which ends or is renewed by "
    )
    now_s = 60.0
    assert stalls.lines(left) == []
    assert stalls.lines(Remaining(images={NULL: 2}, others=0)) == []
    now_s = 70.0
    assert stalls.lines(Remaining(images={NULL: 2}, others=0)) == [
        "waiting for a worker of null@1 to start with 2 images"
    ]
