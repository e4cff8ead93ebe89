"""The source of originals is killed under a running worker."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from panopticon.messages import ImageMessage, Lane, encode
from tests.servers.s3 import S3Server, S3Site
from tests.workers.faults.pipeline import Pipeline, pipeline

IMAGES = 300
DOWN_S = 3.0
BUCKET = "photos"


def fill(site: S3Site) -> None:
    """So many pictures, each of its own colour."""
    keys = {"aws_access_key_id": site.access_key, "aws_secret_access_key": site.secret_key}
    client: Any = boto3.session.Session(**keys).client("s3", endpoint_url=site.url, region_name="us-east-1")
    with closing(client):
        client.create_bucket(Bucket=BUCKET)
        for number in range(IMAGES):
            client.put_object(Bucket=BUCKET, Key=f"{number}.png", Body=picture(number))


def picture(number: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (16, 16), (number % 256, number // 256, 0)).save(encoded, "png")
    return encoded.getvalue()


def submit(run: Pipeline) -> list[str]:
    ids = [str(number) for number in range(IMAGES)]
    run.broker.uploads.publish([encode(ImageMessage(image_id=image_id)) for image_id in ids], Lane.LIVE)
    return ids


def test_s3_killed_and_started_again_costs_no_image_and_no_attempt(
    tmp_path: Path,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """Without rungs, the first attempt that anyone pays would leave a dead image."""
    for name, value in s3_server.site.as_environ().items():
        monkeypatch.setenv(name, value)
    fill(s3_server.site)
    settings = {
        "originals": f"s3://{BUCKET}/{{image_id}}.png",
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
            left = IMAGES - len(run.stored(ids))
            time.sleep(DOWN_S)
        finally:
            s3_server.start()
        begun_s = time.monotonic()
        run.wait_until_settled()
        record_property("recovered_s", round(time.monotonic() - begun_s, 1))
        assert left > 0
        assert (len(run.stored(ids)), run.dead(ids)) == (IMAGES, {})
        assert "source unavailable: 127.0.0.1: Connection refused" in run.log
        assert "resumed: source is back" in run.log
        assert s3_server.site.secret_key not in run.log
