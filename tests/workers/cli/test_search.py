"""`panopticon search`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from panopticon.results.documents import Part
from tests.contracts.examples import image, part, result, tag
from tests.house import House
from tests.workers.cli.conftest import Panopticon, Ran
from workers.queues.sqlite import SqliteBroker


@pytest.fixture(autouse=True)
def album(house: House) -> None:
    """Cat pictures of growing certainty and sharpness, and a cup."""
    house.register()
    names = ("cat1", "cat2", "cat3", "cup")
    house.store.catalogue.put([image(name) for name in names])
    for number, name in enumerate(names[:3], start=1):
        tags = Part(revision=0, policy_number=1, tags=(tag("tiger cat", number / 10),))
        house.search.apply([result(name, tags, occurred_at_ms=1_000 - number)])
        scores = part(scores={"sharpness": number / 10})
        house.search.apply([result(name, scores, name="quality_1", occurred_at_ms=1_000 - number)])
    house.search.apply([result("cup", part(espresso=0.9), occurred_at_ms=5)])


def ids(ran: Ran) -> list[str]:
    assert ran.code == 0, ran
    return [image["image_id"] for image in ran.json["images"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("tiger cat",), ["cat3", "cat2", "cat1"]),
        (("Tiger CAT", "--min-probability", "0.2"), ["cat3", "cat2"]),
        (("tiger cat", "espresso"), []),
        (("tiger cat", "espresso", "--any"), ["cup", "cat3", "cat2", "cat1"]),
        (("tiger cat", "--order", "newest"), ["cat1", "cat2", "cat3"]),
        (("tiger cat", "--limit", "1"), ["cat3"]),
        (("--score", "sharpness=0.15..0.25"), ["cat2"]),
        (("--score", "sharpness=..0.15"), ["cat1"]),
        (("--score", "sharpness=0.15..", "--order", "score:sharpness"), ["cat3", "cat2"]),
        ((), ["cat1", "cat2", "cat3", "cup"]),
    ],
)
def test_labels_scores_order_and_limit_select_the_photos(
    panopticon: Panopticon, arguments: tuple[str, ...], expected: list[str]
) -> None:
    assert ids(panopticon("search", "--json", *arguments)) == expected


def test_a_broader_term_finds_the_cat(panopticon: Panopticon) -> None:
    assert "cat3" in ids(panopticon("search", "--json", "animal"))


def test_pages_follow_one_another_by_their_cursors(panopticon: Panopticon) -> None:
    asked = ("search", "tiger cat", "--limit", "2", "--json")
    first = panopticon(*asked)
    second = panopticon(*asked, "--cursor", first.json["cursor"])
    assert (ids(first), ids(second)) == (["cat3", "cat2"], ["cat1"])
    assert second.json["cursor"] is None


def test_people_see_path_tags_and_scores(panopticon: Panopticon) -> None:
    shown = panopticon("search", "tiger cat", "--limit", "1")
    assert shown.out == "/photos/cat3  cat3\n  tiger cat 0.30\n  sharpness 0.3\n"
    assert shown.err.startswith("More: the same command with --cursor ")


def test_a_path_that_is_not_utf_8_is_shown_escaped(panopticon: Panopticon, house: House) -> None:
    row = replace(image("cup", revision=1), image_uri="file:///photos/%FF%1B%5Bred%5D.jpg#size=1")
    house.store.catalogue.put([row])
    assert r"/photos/\xff\x1b[red].jpg" in panopticon("search", "espresso").out


def test_only_active_versions_answer(panopticon: Panopticon, house: House) -> None:
    other = Part(revision=0, policy_number=1, tags=(tag("tiger cat", 1.0),))
    house.search.apply([result("cup", other, name="tagger_9")])
    assert "cup" not in ids(panopticon("search", "--json", "tiger cat"))


def test_an_unknown_label_is_reported_with_similar_ones(panopticon: Panopticon) -> None:
    ran = panopticon("search", "expresso")
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "Nothing found."
    assert "No active model has the label 'expresso'; did you mean: espresso" in ran.out


def test_a_known_label_without_a_photo_is_not_reported_as_unknown(panopticon: Panopticon) -> None:
    assert panopticon("search", "daisy").out == "Nothing found.\n"


def test_a_broader_term_is_a_known_label(panopticon: Panopticon) -> None:
    assert panopticon("search", "vehicle").out == "Nothing found.\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--score", "sharpness"), "--score is 'sharpness'; write it as sharpness=0.2..0.8, 0.2.. or ..0.8"),
        (
            ("--score", "noise=a..b"),
            "--score is 'noise=a..b'; write it as sharpness=0.2..0.8, 0.2.. or ..0.8",
        ),
        (
            ("--score", "beauty=0..1"),
            "unknown score 'beauty'; known: brightness, colourfulness, contrast, noise, sharpness",
        ),
        (("--order", "best"), "--order is 'best'; it must be probability, newest or score:NAME"),
        (("--order", "score:"), "--order is 'score:'; it must be probability, newest or score:NAME"),
        (
            ("--order", "probability"),
            "--order probability needs a label to be probable; name one, or use --order newest",
        ),
        (("cat", "--cursor", "x"), "cursor 'x' is not one that search printed: begin again without it"),
    ],
)
def test_a_mistake_is_one_line(panopticon: Panopticon, arguments: tuple[str, ...], complaint: str) -> None:
    assert panopticon("search", *arguments).complaint == complaint


@pytest.mark.parametrize("arguments", [("--limit", "0"), ("--min-probability", "1.5"), ("--nonsense",)])
def test_an_option_out_of_its_range_is_refused(panopticon: Panopticon, arguments: tuple[str, ...]) -> None:
    ran = panopticon("search", "cat", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


def test_without_an_active_version_the_error_shows_how_to_activate_one(panopticon: Panopticon) -> None:
    for model in ("tagger", "quality"):
        panopticon("models", "deactivate", model)
    assert panopticon("search", "cat").complaint == (
        "no model is active, so nothing can be found; let a version answer: "
        "panopticon models activate NAME@V (registered: quality@1, tagger@1)"
    )


def test_without_a_registered_model_the_error_shows_how_to_begin(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    new = f"sqlite:///{tmp_path}/new.db"
    with closing(SqliteBroker(new)) as broker:
        assert broker.topology.bound() == ()
    complaint = panopticon("--database", new, "search", "cat").complaint
    assert complaint == "no model is active, so nothing can be found; begin with: panopticon index PATH"
