"""`GET /v1/search`."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from starlette.types import ASGIApp

from panopticon.registry.records import VersionState
from tests.contracts.examples import QUALITY, TAGGER
from tests.house import House
from tests.workers.serving.api.reading import printed, reading_app
from tests.workers.serving.asgi import Answered, asked, get
from workers.cli.search.find import search_command
from workers.serving.api.schemas_reading import MAX_CONDITIONS, SearchAnswer


@pytest.fixture(autouse=True)
def album(house: House) -> None:
    """Cat pictures of growing certainty and sharpness, and a cup."""
    house.register()
    for number in (1, 2, 3):
        tags, scores = {"tiger cat": 0.25 * number}, {"sharpness": 0.25 * number}
        house.plant(f"cat{number}", outputs={TAGGER: tags, QUALITY: scores})
    house.plant("cup", outputs={TAGGER: {"espresso": 0.75}})


@pytest.fixture
def app(house: House) -> Iterator[ASGIApp]:
    with reading_app(house.settings) as app:
        yield app


def search(app: ASGIApp, *pairs: tuple[str, object]) -> Answered:
    return get(app, f"/v1/search?{urlencode(pairs)}")


@pytest.mark.parametrize(
    ("pairs", "words", "found"),
    [
        ([("all", "tiger cat")], ["tiger cat"], 3),
        ([("all", "Tiger CAT"), ("min_probability", "0.5")], ["Tiger CAT", "--min-probability", "0.5"], 2),
        ([("all", "tiger cat"), ("all", "espresso")], ["tiger cat", "espresso"], 0),
        ([("any", "tiger cat"), ("any", "espresso")], ["tiger cat", "espresso", "--any"], 4),
        ([("all", "animal"), ("order", "newest")], ["animal", "--order", "newest"], 3),
        ([("all", "tiger cat"), ("limit", "1")], ["tiger cat", "--limit", "1"], 1),
        ([("score", "sharpness=0.3..0.6")], ["--score", "sharpness=0.3..0.6"], 1),
        (
            [("score", "sharpness=..0.6"), ("score", "noise=0.."), ("order", "score:sharpness")],
            ["--score", "sharpness=..0.6", "--score", "noise=0..", "--order", "score:sharpness"],
            2,
        ),
        ([("all", "no such label")], ["no such label"], 0),
        ([], [], 4),
    ],
)
def test_the_answer_is_what_search_prints_as_json(
    app: ASGIApp, house: House, pairs: list[tuple[str, object]], words: list[str], found: int
) -> None:
    answer = search(app, *pairs)
    assert (answer.status, len(answer.json["images"])) == (200, found)
    assert answer.json == printed(house.settings, search_command, *words)
    assert SearchAnswer.model_validate(answer.json).model_dump() == answer.json


def test_all_and_any_may_be_asked_together(app: ASGIApp) -> None:
    both = search(app, ("all", "animal"), ("any", "tiger cat"), ("any", "espresso")).json
    assert [image["image_id"] for image in both["images"]] == ["cat3", "cat2", "cat1"]


def test_pages_follow_one_another_by_their_cursors(app: ASGIApp, house: House) -> None:
    asked_for = ("all", "tiger cat"), ("limit", 2)
    first = search(app, *asked_for).json
    second = search(app, *asked_for, ("cursor", first["cursor"]))
    assert [image["image_id"] for image in second.json["images"]] == ["cat1"]
    words = ("tiger cat", "--limit", "2", "--cursor", first["cursor"])
    assert second.json == printed(house.settings, search_command, *words)


SCORES = ["brightness", "colourfulness", "contrast", "noise", "sharpness"]
KNOWN = ["all", "any", "min_probability", "score", "order", "limit", "cursor"]


@pytest.mark.parametrize(
    ("query", "parameter", "value", "allowed", "detail"),
    [
        ("label=cat", "label", None, KNOWN, f"unknown parameter 'label'; known: {', '.join(KNOWN)}"),
        ("limit=1&limit=2", "limit", "2", "one value", "limit is there 2 times; give it once"),
        (
            "limit=0",
            "limit",
            "0",
            "number of images on a page, 1 to 1000",
            "limit is '0': should be greater than or equal to 1",
        ),
        (
            "limit=many",
            "limit",
            "many",
            "number of images on a page, 1 to 1000",
            "limit is 'many': should be a valid integer, unable to parse string as an integer",
        ),
        (
            "min_probability=nan",
            "min_probability",
            "nan",
            "minimum probability per label, 0 to 1",
            "min_probability is 'nan': should be a finite number",
        ),
        (
            "score=sharpness",
            "score",
            "sharpness",
            "NAME=LOW..HIGH",
            "score is 'sharpness'; write it as sharpness=0.2..0.8, 0.2.. or ..0.8",
        ),
        (
            "score=noise=2..1",
            "score",
            "noise=2..1",
            "NAME=LOW..HIGH",
            "score is 'noise=2..1': 2 is greater than 1, so nothing can be found; "
            "write the lower end first: noise=1..2",
        ),
        (
            "score=beauty=0..1",
            "score",
            "beauty",
            SCORES,
            f"unknown score 'beauty'; known: {', '.join(SCORES)}",
        ),
        (
            "order=score:beauty",
            "order",
            "beauty",
            SCORES,
            f"unknown score 'beauty'; known: {', '.join(SCORES)}",
        ),
        (
            "order=best",
            "order",
            "best",
            ["probability", "newest", "score:NAME"],
            "order is 'best'; it must be probability, newest or score:NAME",
        ),
        (
            "order=probability",
            "order",
            "probability",
            ["newest", "score:NAME"],
            "order probability needs a label to be probable; name one, or use order newest",
        ),
        (
            "all=cat&cursor=x",
            "cursor",
            "x",
            "the cursor of the previous page, with the same question",
            "cursor 'x' is not one that search printed: begin again without it",
        ),
        ("all=%FF", None, r"b'\xff'", "percent-encoded UTF-8", "the query string is not UTF-8"),
    ],
)
def test_a_mistake_names_parameter_value_and_what_is_allowed(
    app: ASGIApp, query: str, parameter: str | None, value: str | None, allowed: object, detail: str
) -> None:
    answer = get(app, f"/v1/search?{query}")
    assert (answer.status, answer.json["type"]) == (400, "/v1/problems/invalid-parameter")
    problem = answer.json
    assert problem["detail"] == detail
    assert [problem.get(key) for key in ("parameter", "value", "allowed")] == [parameter, value, allowed]


def test_a_cursor_of_another_question_is_a_mistake(app: ASGIApp) -> None:
    cursor = search(app, ("all", "tiger cat"), ("limit", 1)).json["cursor"]
    answer = search(app, ("all", "animal"), ("limit", 1), ("cursor", cursor))
    assert (answer.status, answer.json["parameter"]) == (400, "cursor")


@pytest.mark.parametrize("rank", [float("nan"), float("inf"), 1e999, "x", None, 10**400])
def test_a_forged_cursor_is_a_mistake_or_an_answer(app: ASGIApp, rank: object) -> None:
    cursor = search(app, ("all", "tiger cat"), ("limit", 1)).json["cursor"]
    fields = {**json.loads(base64.urlsafe_b64decode(cursor)), "rank": rank}
    forged = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()
    assert search(app, ("all", "tiger cat"), ("cursor", forged)).status in (200, 400)


@pytest.mark.parametrize("name", ["all", "any", "score"])
def test_as_many_conditions_as_are_allowed_can_be_asked_and_not_one_more(app: ASGIApp, name: str) -> None:
    value = "sharpness=0..1" if name == "score" else "tiger cat"
    assert search(app, *[(name, value)] * MAX_CONDITIONS).status == 200
    answer = search(app, *[(name, value)] * (MAX_CONDITIONS + 1))
    assert (answer.status, answer.json["parameter"], answer.json["value"]) == (400, name, 51)
    assert answer.json["detail"].startswith(f"{name} is there 51 times: ")


@pytest.mark.parametrize("label", ["", " ", "\0", "\x07", "a\nb", "'\"", "%", "☕", "x" * 5000])
def test_a_label_may_be_any_text(app: ASGIApp, label: str) -> None:
    assert search(app, ("all", label)).json["images"] == []


def test_without_an_active_version_the_state_does_not_allow_a_search(app: ASGIApp, house: House) -> None:
    for version in (TAGGER, QUALITY):
        house.set_state(version, VersionState.SHADOW)
    answer = search(app, ("all", "cat"))
    assert (answer.status, answer.json["type"]) == (409, "/v1/problems/conflict")
    assert answer.json["detail"].startswith("no model is active, so nothing can be found; let a version")


def test_a_search_index_that_is_down_is_503_with_its_name(house: House) -> None:
    with reading_app(house.settings.model_copy(update={"search": "opensearch://127.0.0.1:1/photos"})) as app:
        answer = search(app, ("all", "cat"))
    assert (answer.status, answer.json["component"]) == (503, "search")
    assert int(answer.headers["retry-after"]) >= 1


def test_an_answer_is_json_in_utf_8(app: ASGIApp, house: House) -> None:
    house.plant("Föhn ☕", outputs={TAGGER: {"espresso": 1.0}})
    answer = search(app, ("all", "espresso"), ("limit", 1))
    assert answer.headers["content-type"] == "application/json"
    assert "Föhn ☕".encode() in answer.body


def test_many_questions_at_once_have_the_same_answer(app: ASGIApp) -> None:
    async def ask_all() -> list[Answered]:
        targets = ["/v1/search?all=animal", "/v1/images/cat1"] * 10
        return await asyncio.gather(*(asked(app, target) for target in targets))

    answers = asyncio.run(ask_all())
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 2
