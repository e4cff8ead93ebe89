"""`panopticon show`: everything that is stored about one image."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from panopticon.messages import ImageMessage, rfc_3339, to_ms
from panopticon.models import find_card
from panopticon.registry import transitions
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from tests.contracts.examples import QUALITY, TAGGER, failure, image, key, output, part, result, retrying
from tests.house import House
from tests.workers.cli.conftest import Panopticon
from workers.cli.formatting import utc
from workers.submission.folders import image_id_of


def fill(house: House, image_id: str = "photo") -> None:
    house.register()
    house.store.catalogue.put([image(image_id, revision=1)])
    scores = replace(
        output(key(image_id, version=QUALITY)),
        vector=np.array([0.5, 0.1, 0.2, 0.9, 0.0], dtype="<f4"),
        digest=find_card(QUALITY).digest,
    )
    house.store.outputs.put([scores, output(key(image_id, version=VersionName(model="old", version=3)))])
    house.store.outputs.put_failures([failure(key(image_id, version=TAGGER, revision=1))])
    house.search.apply([result(image_id, part(revision=1, cat=0.9))])


def test_catalogue_outputs_failures_and_search_are_shown(panopticon: Panopticon, house: House) -> None:
    fill(house)
    report = panopticon("show", "photo", "--json").json
    assert report["catalogue"]["image_uri"] == "file:///photos/photo"
    assert [(kept["model"], kept["revision"]) for kept in report["outputs"]] == [
        ("old@3", 0),
        ("quality@1", 0),
    ]
    assert [(kept["model"], kept["state"], kept["reason"]) for kept in report["failures"]] == [
        ("tagger@1", "dead", "corrupt")
    ]
    assert report["search"]["parts"]["tagger_1"]["tags"][0]["label"] == "cat"


def test_an_image_on_a_retry_delay_is_shown_with_reason_attempts_and_next_try(
    panopticon: Panopticon, house: House
) -> None:
    fill(house)
    now_ms = int(time.time() * 1000)
    waits = retrying(key("photo", revision=1), last_at_ms=now_ms)
    house.store.outputs.put_failures([waits, retrying(key("photo", version=QUALITY))])
    shown = panopticon("show", "photo").out
    assert f"tagger@1   pending: io_error, next try at {utc(waits.retry_at_ms)} UTC" in shown
    assert "tagger@1 · retrying · revision 1" in shown
    assert "2 of 4 retry delays" in shown
    (kept,) = panopticon("show", "photo", "--json").json["failures"]
    assert (kept["state"], kept["next_try_at"]) == ("retrying", rfc_3339(waits.retry_at_ms))


def test_an_output_is_shown_with_its_origin(panopticon: Panopticon, house: House) -> None:
    fill(house)
    kept = panopticon("show", "photo", "--json").json["outputs"][1]
    assert kept["digest"] == kept["registered_digest"] == find_card(QUALITY).digest
    assert (kept["state"], kept["current"], kept["labels_from"]) == ("active", False, "registry")
    assert (kept["engine"], kept["libraries"], kept["source_sha256"]) == ("null", "null 1", "5" * 64)
    assert (kept["width_px"], kept["height_px"], kept["elements"], kept["dtype"]) == (640, 480, 5, "float32")
    assert kept["produced_at"] == "2026-11-21T12:00:00.000Z"


def test_elements_are_named_by_the_registry_highest_first(panopticon: Panopticon, house: House) -> None:
    fill(house)
    top = panopticon("show", "photo", "--json").json["outputs"][1]["top"]
    assert [element["name"] for element in top] == [
        "colourfulness",
        "sharpness",
        "contrast",
        "brightness",
        "noise",
    ]


def test_elements_of_an_unregistered_version_are_numbered(panopticon: Panopticon, house: House) -> None:
    fill(house)
    top = panopticon("show", "photo", "--json").json["outputs"][0]["top"]
    assert [element["name"] for element in top] == ["#0", "#1", "#2", "#3"]


def test_people_see_blocks(panopticon: Panopticon, house: House) -> None:
    fill(house)
    lines = [" ".join(line.split()) for line in panopticon("show", "photo").out.splitlines()]
    for line in (
        "photo",
        "where /photos/photo",
        "tagger@1 dead: corrupt",
        "quality@1 pending: its queue is empty: on its way, or lost",
        "old@3 skipped: the registry does not know this version",
        "Next: panopticon dead replay photo",
        "Next: echo photo | panopticon audit --ids -",
        "quality@1 · active · stored · revision 0, older than the catalogue's 1",
        "policy 1 keeps all of it",
        "old@3 · not registered · stored · revision 0, older than the catalogue's 1",
        "policy none applies: the registry does not know old@3",
        "labels none are stored under the output's digest, so its elements are numbered",
        "says colourfulness 0.9 · sharpness 0.5 · contrast 0.2 · brightness 0.1 · noise 0",
        "tagger@1 · dead · revision 1",
        "reason corrupt: the file ends early",
        "attempts 2 of 4 retry delays, last 2026-11-21 12:00:00 UTC",
        "next panopticon dead replay photo",
        "search · revision 1",
        "tagger@1 answers, revision 1, policy 1: cat 0.90",
        "quality@1 nothing: pending, its queue is empty: on its way, or lost",
    ):
        assert line in lines


def test_an_image_can_be_named_by_its_path(panopticon: Panopticon, house: House, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    fill(house, image_id_of(bytes(path)))
    assert panopticon("show", "a.jpg", "--json").json["image_id"] == image_id_of(bytes(path))


def test_an_image_can_be_named_by_the_path_of_a_removed_file(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    fill(house, image_id_of(bytes(tmp_path / "gone.jpg")))
    assert panopticon("show", str(tmp_path / "gone.jpg")).code == 0


def test_an_image_that_only_failed_is_shown(panopticon: Panopticon, house: House) -> None:
    house.store.outputs.put_failures([failure(key("message-1"))])
    report = panopticon("show", "message-1", "--json").json
    assert (report["catalogue"], report["search"]) == (None, None)
    assert report["failures"][0]["message"] == '{"image_id": "\\xff\x00"}'


@pytest.mark.parametrize("stored", ["a1", " a1 "])
def test_spaces_around_an_id_do_not_matter_unless_it_is_stored_with_them(
    panopticon: Panopticon, house: House, stored: str
) -> None:
    fill(house, stored)
    assert panopticon("show", " a1 ", "--json").json["catalogue"]["image_uri"].endswith(f"/{stored}")


def test_an_unknown_image_is_one_line(panopticon: Panopticon) -> None:
    complaint = panopticon("show", "nobody").complaint
    assert complaint == (
        "unknown image 'nobody': it is neither an image ID nor the path of a submitted image"
    )


def test_an_image_that_no_indexer_has_taken_yet_may_be_pending(panopticon: Panopticon, house: House) -> None:
    house.submit(ImageMessage(image_id="new", image_uri="file:///new.jpg"))
    assert panopticon("show", "new").complaint.endswith(
        "; 1 upload may include it and wait for an indexer: panopticon indexer"
    )


def test_an_argument_that_is_not_utf_8_is_one_line(panopticon: Panopticon) -> None:
    assert panopticon("show", "\udcff.jpg").complaint.startswith("unknown image '")


def test_people_see_a_web_address_without_its_query(panopticon: Panopticon, house: House) -> None:
    fill(house)
    row = replace(image("photo", revision=2), image_uri="https://a.example/1.jpg?sig=SECRET")
    house.store.catalogue.put([row])
    shown = panopticon("show", "photo").out
    assert "https://a.example/1.jpg?…" in shown
    assert "SECRET" not in shown


def tag(house: House, image_id: str = "cat") -> None:
    """Three classes stand out of a tagger's vector; search has them by the first policy."""
    house.register(TAGGER)
    vector = np.full(1000, 1e-4, dtype="<f2")
    vector[[281, 282, 285]] = (0.5, 0.25, 0.0625)
    digest = find_card(TAGGER).digest
    house.store.catalogue.put([image(image_id)])
    house.store.outputs.put([replace(output(key(image_id)), vector=vector, digest=digest)])
    house.search.apply([result(image_id, part(tabby=0.5))])


def put_policy(house: House, toml: str) -> None:
    entry = house.store.registry.read("tagger")
    assert entry is not None
    assert house.store.registry.swap(entry, transitions.put_policy(entry, 1, toml, Author(by="ann", at_ms=1)))


def test_people_see_what_policy_keeps_and_why_it_drops_the_rest(panopticon: Panopticon, house: House) -> None:
    tag(house)
    put_policy(house, 'hidden = ["tiger cat"]\n[renamed]\ntabby = "house cat"\n')
    lines = [" ".join(line.split()) for line in panopticon("show", "cat").out.splitlines()]
    start = lines.index("policy 2 keeps tabby 0.5 (renamed to 'house cat')")
    assert lines[start + 1 : start + 3] == [
        "drops tiger cat 0.25, hidden",
        "Egyptian cat 0.0625, below the threshold 0.1",
    ]
    assert lines[start + 6] == "and 994 more"


def test_a_part_by_an_older_policy_is_reported(panopticon: Panopticon, house: House) -> None:
    tag(house)
    put_policy(house, "threshold = 0.2\n")
    behind = "policy 1 is older than the present one, 2"
    assert behind in [line.strip() for line in panopticon("show", "cat").out.splitlines()]
    report = panopticon("show", "cat", "--json").json
    assert report["search"]["parts"]["tagger_1"]["behind"] == [behind]
    (status,) = report["standings"]
    assert (status["verdict"], status["in_search"], status["answers"]) == ("stored", False, True)


def test_json_has_the_reasons_of_kept_and_dropped_tags(panopticon: Panopticon, house: House) -> None:
    tag(house)
    (kept,) = panopticon("show", "cat", "--json").json["outputs"]
    assert (kept["policy_number"], [reason["name"] for reason in kept["kept"]]) == (1, ["tabby", "tiger cat"])
    assert (len(kept["dropped"]), kept["dropped_count"]) == (5, 998)
    assert kept["dropped"][0]["why"] == "below the threshold 0.1"


def test_json_has_the_retry_delays_and_the_next_step_of_a_failure(
    panopticon: Panopticon, house: House
) -> None:
    fill(house)
    (kept,) = panopticon("show", "photo", "--json").json["failures"]
    assert (kept["attempts"], kept["rungs"], kept["next"]) == (2, 4, "panopticon dead replay photo")


def test_a_broker_that_is_down_leaves_the_rest_of_the_report(panopticon: Panopticon, house: House) -> None:
    house.register(TAGGER)
    house.store.catalogue.put([image("photo")])
    down = "broker=amqp://nobody@127.0.0.1:1/panopticon?management=http://127.0.0.1:1"
    ran = panopticon("--set", down, "show", "photo", "--json")
    assert (ran.code, ran.json["standings"][0]["why"]) == (0, "waiting in its queue, or being processed")


def test_a_part_of_an_unregistered_version_is_shown(panopticon: Panopticon, house: House) -> None:
    house.search.apply([result("photo", part(cat=0.9), name="stranger_4")])
    lines = [" ".join(line.split()) for line in panopticon("show", "photo").out.splitlines()]
    assert "stranger_4 not registered, revision 0, policy 1: cat 0.90" in lines


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(1944, 6, 6, 6, 30, tzinfo=UTC), "date 1944-06-06 06:30:00 UTC"),
        (datetime(826, 1, 1, tzinfo=UTC), "date 0826-01-01 00:00:00 UTC"),
        (None, "date not known"),
    ],
)
def test_the_date_of_an_image_is_shown_whatever_it_is(
    panopticon: Panopticon, house: House, moment: datetime | None, shown: str
) -> None:
    house.store.catalogue.put([replace(image("photo"), occurred_at_ms=to_ms(moment))])
    lines = [" ".join(line.split()) for line in panopticon("show", "photo").out.splitlines()]
    assert shown in lines
    known = panopticon("show", "photo", "--json").json["catalogue"]["occurred_at"]
    assert (known and datetime.fromisoformat(known)) == moment
