"""The source of originals is killed under a running worker."""

from __future__ import annotations

import io
import time
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from panopticon.messages import ImageMessage, Lane
from tests.recoveries import Recorder
from tests.servers.buckets import Bucket, client_of
from tests.servers.s3 import S3Server, S3Site
from tests.workers.faults.pipeline import Pipeline, pipeline

IMAGES = 300
DOWN_S = 3.0


def fill(site: S3Site) -> Bucket:
    """Fill a bucket with `IMAGES` pictures, each of its own colour."""
    with closing(client_of(site)) as client:
        bucket = Bucket(client)
        for number in range(IMAGES):
            bucket.place(f"{number}.png", picture(number))
        return bucket


def picture(number: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (16, 16), (number % 256, number // 256, 0)).save(encoded, "png")
    return encoded.getvalue()


def submit(run: Pipeline) -> list[str]:
    ids = [str(number) for number in range(IMAGES)]
    run.broker.uploads.publish([ImageMessage(image_id=image_id) for image_id in ids], Lane.LIVE)
    return ids


def test_s3_killed_and_started_again_costs_no_image_and_no_attempt(
    tmp_path: Path,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    recovered: Recorder,
) -> None:
    """Without retry delays, the first attempt that anyone pays would leave a dead image."""
    for name, value in s3_server.site.as_environ().items():
        monkeypatch.setenv(name, value)
    bucket = fill(s3_server.site)
    settings = {
        "originals": f"s3://{bucket.name}/{{image_id}}.png",
        "s3_endpoint": s3_server.url,
        "retry_delays_s": (),
        "park_max_s": 1.0,
    }
    with pipeline(tmp_path, "null", **settings) as run:
        ids = submit(run)
        run.start_worker()
        run.wait_until(lambda: len(run.stored(ids)) > IMAGES // 10)
        s3_server.kill()
        try:
            time.sleep(DOWN_S)
        finally:
            s3_server.start()
        recovered(run.resumed_s(ids))
        run.wait_until_settled()
        assert (len(run.stored(ids)), run.dead(ids)) == (IMAGES, {})
        assert "source unavailable: 127.0.0.1: Connection refused" in run.log
        assert "resumed: source is back" in run.log
        assert s3_server.site.secret_key not in run.log
