"""`panopticon show`: everything that is kept of one image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from panopticon.outputs import VersionName
from tests.contracts.examples import QUALITY, TAGGER, failure, image, key, output, part, result
from tests.workers.cli.conftest import House, Panopticon
from workers.scanning import image_id_of


def fill(house: House, image_id: str = "photo") -> None:
    house.register()
    house.store.catalogue.put([image(image_id, revision=1)])
    scores = replace(
        output(key(image_id, version=QUALITY)), vector=np.array([0.5, 0.1, 0.2, 0.9, 0.0], dtype="<f4")
    )
    house.store.outputs.put([scores, output(key(image_id, version=VersionName(model="old", version=3)))])
    house.store.outputs.put_failures([failure(key(image_id, version=TAGGER, revision=1))])
    house.search.apply([result(image_id, part(revision=1, cat=0.9))])


def test_every_room_is_told(panopticon: Panopticon, house: House) -> None:
    fill(house)
    told = panopticon("show", "photo", "--json").json
    assert told["catalogue"]["image_uri"] == "file:///photos/photo"
    assert [(kept["model"], kept["revision"]) for kept in told["outputs"]] == [("old@3", 0), ("quality@1", 0)]
    assert [(kept["model"], kept["state"], kept["reason"]) for kept in told["failures"]] == [
        ("tagger@1", "dead", "corrupt")
    ]
    assert told["search"]["parts"]["tagger_1"]["tags"][0]["label"] == "cat"


def test_an_output_is_told_with_where_it_comes_from(panopticon: Panopticon, house: House) -> None:
    fill(house)
    kept = panopticon("show", "photo", "--json").json["outputs"][1]
    assert kept["digest"] == "d1"
    assert (kept["engine"], kept["libraries"], kept["source_sha256"]) == ("null", "null 1", "5" * 64)
    assert (kept["width_px"], kept["height_px"], kept["elements"], kept["dtype"]) == (640, 480, 5, "float32")
    assert kept["produced_at"] == "2026-11-21T12:00:00.000Z"


def test_elements_are_named_by_the_registry_greatest_first(panopticon: Panopticon, house: House) -> None:
    fill(house)
    top = panopticon("show", "photo", "--json").json["outputs"][1]["top"]
    assert [element["name"] for element in top] == [
        "colourfulness",
        "sharpness",
        "contrast",
        "brightness",
        "noise",
    ]


def test_elements_of_a_version_nobody_knows_are_numbered(panopticon: Panopticon, house: House) -> None:
    fill(house)
    top = panopticon("show", "photo", "--json").json["outputs"][0]["top"]
    assert [element["name"] for element in top] == ["#0", "#1", "#2", "#3"]


def test_people_see_blocks(panopticon: Panopticon, house: House) -> None:
    fill(house)
    lines = [" ".join(line.split()) for line in panopticon("show", "photo").out.splitlines()]
    for line in (
        "photo",
        "where /photos/photo",
        "quality@1 · stored · revision 0",
        "says colourfulness 0.9 · sharpness 0.5 · contrast 0.2 · brightness 0.1 · noise 0",
        "tagger@1 · dead · revision 1",
        "reason corrupt: the file ends early",
        "search · revision 1",
    ):
        assert line in lines


def test_a_path_stands_for_its_image(panopticon: Panopticon, house: House, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    fill(house, image_id_of(bytes(path)))
    assert panopticon("show", "a.jpg", "--json").json["image_id"] == image_id_of(bytes(path))


def test_the_path_of_a_file_that_is_gone_still_does(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    fill(house, image_id_of(bytes(tmp_path / "gone.jpg")))
    assert panopticon("show", str(tmp_path / "gone.jpg")).code == 0


def test_what_only_failed_is_shown_too(panopticon: Panopticon, house: House) -> None:
    house.store.outputs.put_failures([failure(key("message-1"))])
    told = panopticon("show", "message-1", "--json").json
    assert (told["catalogue"], told["search"]) == (None, None)
    assert told["failures"][0]["message"] == '{"image_id": "\\xff\x00"}'


def test_an_unknown_image_is_one_line(panopticon: Panopticon) -> None:
    complaint = panopticon("show", "nobody").complaint
    assert complaint == ("unknown image 'nobody': no image ID, and no path of an image that was submitted")


def test_an_argument_that_is_no_utf_8_is_one_line(panopticon: Panopticon) -> None:
    assert panopticon("show", "\udcff.jpg").complaint.startswith("unknown image '")


def test_people_see_a_web_address_without_its_query(panopticon: Panopticon, house: House) -> None:
    fill(house)
    row = replace(image("photo", revision=2), image_uri="https://a.example/1.jpg?sig=SECRET")
    house.store.catalogue.put([row])
    shown = panopticon("show", "photo").out
    assert "https://a.example/1.jpg?…" in shown
    assert "SECRET" not in shown
