"""A source of originals that is down: only here with every other server real, and several workers.

One worker on SQLite is in tests/workers/faults/test_source.py, the source in tests/storage/originals/.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from panopticon.settings import Settings
from tests.fleet.trial import trial
from tests.recoveries import Recorder
from tests.servers.buckets import Bucket, client_of
from tests.servers.s3 import S3Server


def test_every_image_is_stored_without_a_spent_attempt_though_s3_was_down(
    tmp_path: Path,
    on_three_servers: Settings,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    recovered: Recorder,
) -> None:
    for name, value in s3_server.site.as_environ().items():
        monkeypatch.setenv(name, value)
    with closing(client_of(s3_server.site)) as client:
        bucket = Bucket(client)
        places = {"s3_endpoint": s3_server.url, "s3_region": "us-east-1", "s3_buckets": (bucket.name,)}
        settings = on_three_servers.model_copy(update=places)
        with trial(settings, tmp_path, keep=bucket.place) as run:
            run.wait_until_under_way()
            with run.work_in_progress():
                s3_server.kill()
            try:
                run.wait_until_parked("slow", "source")
            finally:
                s3_server.start()
            recovered(run.resumed_s())
            run.end()
            run.check()
