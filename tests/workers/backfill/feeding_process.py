"""`panopticon backfill` as a process of its own, which a test may kill."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from panopticon.interfaces import Store
from panopticon.results.outputs import CatalogueImage, VersionName
from panopticon.settings import Settings
from storage.originals.files import uri_of


def start_backfill(settings: Settings, version: VersionName, ids: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "workers.cli.main", "backfill", "--model", str(version)]
    environ = {**os.environ, **settings.as_environ()}
    with log.open("ab") as written:
        return subprocess.Popen([*command, "--ids", str(ids)], env=environ, stdout=written, stderr=written)


def cursor_of(store: Store) -> int:
    """Of the only backfill there is; 0 before its beginning."""
    (record,) = [store.backfills.read(name) for name in store.backfills.names()] or [None]
    return record.cursor if record else 0


def kill_at(
    settings: Settings,
    version: VersionName,
    ids: Path,
    cursors: Iterable[int],
    *,
    store: Store,
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    """With -9, some moment after the record has come to each of these cursors, and started again."""
    moments, log = random.Random(3), ids.with_suffix(".log")
    for cursor in cursors:
        process = start_backfill(settings, version, ids, log)
        wait_until(partial(_has_come_to, cursor, store))
        time.sleep(moments.uniform(0.0, 0.1))
        assert process.poll() is None, log.read_text()
        process.kill()
        process.wait()


def _has_come_to(cursor: int, store: Store) -> bool:
    return cursor_of(store) >= cursor


def finish(settings: Settings, version: VersionName, ids: Path) -> int:
    """The exit code of the last start, which nobody kills."""
    return start_backfill(settings, version, ids, ids.with_suffix(".log")).wait(120)


def fill_catalogue(store: Store, image_ids: Iterable[str], picture: Path) -> None:
    """Every image looks like this picture."""
    uri = uri_of(os.fsencode(picture))
    store.catalogue.put(
        [
            CatalogueImage(image_id=image_id, revision=0, image_uri=uri, event="uploaded", occurred_at_ms=1)
            for image_id in image_ids
        ]
    )


def runs(settings: Settings) -> int:
    """Images that the model of the card `counting` was given."""
    path = Path(settings.cache_dir, "runs")
    return path.stat().st_size if path.exists() else 0
