"""This release goes on with a database of release 0.1 that has messages in its queues."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.end_to_end.command import MODELS, NULL, Done, Installation
from workers.submission.folders import image_id_of

DUMP = Path(__file__).parents[1] / "data" / "release_0_1.sql"
HOME = "/home/user"
"""The folder that the dump names."""

MTIME_NS = 1_763_715_600_000_000_000
COLOURS = {
    "photos/red": (200, 10, 10),
    "photos/green": (10, 200, 10),
    "photos/blue": (10, 10, 200),
    "waiting/grey": (90, 90, 90),
    "waiting/silver": (190, 190, 190),
    "waiting/black": (0, 0, 0),
    "waiting/white": (250, 250, 250),
}
FAILED = {"photos/broken.bmp": b"not a picture\n", "photos/empty.bmp": b""}
WAITING = ("black", "grey", "silver", "white")


@pytest.fixture
def house(tmp_path: Path) -> Installation:
    """The pictures of the dump, byte for byte and with their times, and its database."""
    _write_pictures(tmp_path)
    (tmp_path / "ids.txt").write_text("grey\nsilver\n")
    sql = DUMP.read_text("utf-8")
    for path in sorted((tmp_path / "photos").iterdir()):
        old = image_id_of(os.fsencode(f"{HOME}/photos/{path.name}"))
        assert old in sql
        sql = sql.replace(old, image_id_of(os.fsencode(path)))
    with sqlite3.connect(tmp_path / "panopticon.db") as connection:
        connection.executescript(sql.replace(HOME, str(tmp_path)))
    connection.close()
    settings = (f"models_dir={MODELS}", f"models={NULL}", "settle_s=0.2")
    return Installation(folder=tmp_path, cache_dir=tmp_path / "cache", settings=settings)


def _write_pictures(folder: Path) -> None:
    for name, colour in COLOURS.items():
        path = folder / f"{name}.bmp"
        path.parent.mkdir(exist_ok=True)
        # An uncompressed format: the size of a file is the same with every version of the encoder.
        Image.new("RGB", (20, 20), colour).save(path)
    for name, body in FAILED.items():
        (folder / name).write_bytes(body)
    for path in folder.glob("*/*"):
        os.utime(path, ns=(MTIME_NS, MTIME_NS))


def ok(done: Done) -> Any:
    assert done.exit_code == 0, done.err
    return done.json


def counts(house: Installation) -> dict[str, int]:
    (row,) = ok(house.panopticon("status", "--json"))["models"]
    return {key: row[key] for key in ("accepted", "stored", "dead", "skipped", "pending")}


def stored_moments(house: Installation) -> dict[str, int]:
    """When each output was produced, by image."""
    with sqlite3.connect(house.folder / "panopticon.db") as connection:
        rows = connection.execute("SELECT image_id, produced_at_ms FROM outputs").fetchall()
    connection.close()
    return dict(rows)


def test_what_it_stored_is_read_as_it_was(house: Installation) -> None:
    assert counts(house) == {"accepted": 7, "stored": 3, "dead": 1, "skipped": 1, "pending": 2}
    red = ok(house.panopticon("show", "photos/red.bmp", "--json"))
    assert red["search"]["parts"]["null_1"]["scores"]["redness"] == pytest.approx(0.784, abs=0.001)
    assert [output["policy_number"] for output in red["outputs"]] == [2]
    found = ok(house.panopticon("search", "--score", "redness=0.5..", "--json"))
    assert [image["image_uri"].partition("#")[0] for image in found["images"]] == [
        f"file://{house.folder}/photos/red.bmp"
    ]
    history = ok(house.panopticon("policy", "history", str(NULL), "--json"))
    assert "a better name" in str(history)
    (dead,) = ok(house.panopticon("dead", "list", "--json"))["failures"]
    assert (dead["reason"], dead["state"]) == ("not_an_image", "dead")
    (discarded,) = ok(house.panopticon("dead", "list", "--state", "discarded", "--json"))["failures"]
    assert discarded["reason"] == "empty"


def test_its_photos_are_proved_to_be_there_by_an_audit(house: Installation) -> None:
    audit = ok(house.panopticon("audit", "photos", "--json"))
    verdicts = sorted(line["verdict"] for line in audit["verdicts"])
    assert (audit["ok"], verdicts) == (True, ["dead", "skipped", "stored", "stored", "stored"])


def test_indexing_again_infers_nothing_and_works_off_the_messages_that_waited(house: Installation) -> None:
    before = stored_moments(house)
    done = house.panopticon("index", "photos", "--json")
    # One photo of its folder is dead.
    assert done.exit_code == 1, done.err
    assert (done.json["finished"], done.json["already_indexed"]) == (0, 3)
    after = stored_moments(house)
    assert {image_id: after[image_id] for image_id in before} == before
    assert set(after) - set(before) == set(WAITING) - {"black"}
    assert counts(house) == {"accepted": 9, "stored": 7, "dead": 1, "skipped": 1, "pending": 0}
    found = ok(house.panopticon("search", "--json"))["images"]
    assert {image["image_id"] for image in found} >= set(WAITING)


def test_an_interrupted_backfill_goes_on_where_it_stopped(house: Installation) -> None:
    records = {
        record["state"]: record for record in ok(house.panopticon("backfill", "list", "--json"))["backfills"]
    }
    assert set(records) == {"running", "done"}
    running = records["running"]
    assert (running["looked_at"], running["total"], running["submitted"]) == (1, 2, 1)
    assert running["runner"].startswith("process ")
    assert (records["done"]["stored"], records["done"]["skipped"]) == (3, 2)
    done = house.panopticon("backfill", "--model", str(NULL), "--ids", "ids.txt")
    assert done.exit_code == 0, done.err
    shown = ok(house.panopticon("backfill", "show", running["name"], "--json"))
    assert (shown["state"], shown["submitted"]) == ("done", 2)
