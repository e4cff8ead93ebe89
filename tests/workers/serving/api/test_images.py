"""`GET /v1/images/{id}`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.types import ASGIApp

from panopticon.messages import ImageMessage
from panopticon.results.outputs import VersionName
from tests.contracts.examples import QUALITY, TAGGER, failure, image, key, output, retrying
from tests.house import House
from tests.workers.serving.api.reading import printed, reading_app
from tests.workers.serving.asgi import get
from workers.cli.show.command import show_command
from workers.serving.api.schemas_reading import ImageAnswer


@pytest.fixture
def app(house: House) -> Iterator[ASGIApp]:
    with reading_app(house.settings) as app:
        yield app


@pytest.fixture
def fill(house: House) -> None:
    """An image with everything: outputs, also of a stranger, failures, a retry delay, a part, no file."""
    house.register()
    house.plant("photo", outputs={TAGGER: {"tabby": 0.5, "tiger cat": 0.2}, QUALITY: {"sharpness": 0.75}})
    house.real.store.catalogue.put([image("photo", revision=1)])
    stranger = output(key("photo", version=VersionName(model="old", version=3)))
    house.real.store.outputs.put([stranger])
    failures = [failure(key("photo", revision=1)), retrying(key("photo", version=QUALITY, revision=1))]
    house.real.store.outputs.put_failures(failures)


@pytest.mark.usefixtures("fill")
def test_the_answer_is_what_show_prints_as_json(app: ASGIApp, house: House) -> None:
    answer = get(app, "/v1/images/photo")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json == printed(house.settings, show_command, "photo")
    assert list(answer.json) == list(printed(house.settings, show_command, "photo"))


@pytest.mark.usefixtures("fill")
def test_the_answer_is_what_its_schema_describes(app: ASGIApp, house: House) -> None:
    answer = get(app, "/v1/images/photo").json
    for name in ("standings", "catalogue", "file", "outputs", "failures", "search"):
        assert answer[name], name
    assert ImageAnswer.model_validate(answer).model_dump() == answer
    house.real.store.outputs.put_failures([failure(key("message-1"))])
    failed = get(app, "/v1/images/message-1").json
    assert ImageAnswer.model_validate(failed).model_dump() == failed


def test_a_moved_file_is_what_its_schema_describes(app: ASGIApp, house: House, tmp_path: Path) -> None:
    house.real.store.catalogue.put([replace(image("here"), image_uri=(tmp_path / "a.jpg").as_uri())])
    answer = get(app, "/v1/images/here").json
    assert answer["file"] == {"missing": True, "moves": []}
    assert ImageAnswer.model_validate(answer).model_dump() == answer


@pytest.mark.parametrize(
    "image_id", ["a/b.jpg", "/a//b/", "../up", "Föhn ☕", "50%", "a?b#c", "a%2Fb", "v1/images/x", "a+b"]
)
def test_an_id_is_any_text_percent_encoded(app: ASGIApp, house: House, image_id: str) -> None:
    house.plant(image_id)
    answer = get(app, f"/v1/images/{quote(image_id, safe='')}")
    assert (answer.status, answer.json["image_id"]) == (200, image_id)


def test_slashes_in_an_id_need_not_be_encoded(app: ASGIApp, house: House) -> None:
    house.plant("album/a.jpg")
    assert get(app, "/v1/images/album/a.jpg").json["image_id"] == "album/a.jpg"


@pytest.mark.parametrize("stored", ["a1", " a1 "])
def test_spaces_around_an_id_do_not_matter_unless_it_is_stored_with_them(
    app: ASGIApp, house: House, stored: str
) -> None:
    house.plant(stored)
    assert get(app, "/v1/images/%20a1%20").json["image_id"] == stored


@pytest.mark.parametrize(
    ("encoded", "detail"),
    [
        ("a%00b", "id: must not contain control characters"),
        ("a%0Ab", "id: must not contain control characters"),
        ("%C2%85", "id: must not contain control characters"),
        ("%FF", "id: it is not UTF-8"),
        ("", "id: string should have at least 1 character"),
        ("x" * 256, "id: string should have at most 255 characters"),
        ("%C3%A9" * 128, "id: must have 1 to 255 bytes of UTF-8, not 256"),
    ],
)
def test_what_can_be_no_id_is_a_mistake_of_the_client(app: ASGIApp, encoded: str, detail: str) -> None:
    answer = get(app, f"/v1/images/{encoded}")
    assert (answer.status, answer.json["detail"], answer.json["parameter"]) == (400, detail, "id")
    assert answer.json["type"] == "/v1/problems/invalid-parameter"
    assert answer.json["allowed"].startswith("1 to 255 bytes of UTF-8")


def test_an_unknown_image_is_not_found(app: ASGIApp, house: House) -> None:
    answer = get(app, "/v1/images/nobody")
    assert (answer.status, answer.json["type"]) == (404, "/v1/problems/unknown-image")
    assert answer.json["detail"] == "nothing is stored about an image with the ID 'nobody'"
    assert (answer.json["parameter"], answer.json["value"]) == ("id", "nobody")


def test_a_path_is_not_an_id_although_the_command_takes_it(app: ASGIApp, tmp_path: Path) -> None:
    assert get(app, f"/v1/images/{quote(str(tmp_path), safe='')}").status == 404


def test_an_unknown_image_may_be_among_the_uploads_that_wait(app: ASGIApp, house: House) -> None:
    house.submit(ImageMessage(image_id="new", image_uri="file:///new.jpg"))
    detail = get(app, "/v1/images/new").json["detail"]
    assert detail.endswith("; uploads that wait for an indexer, and may include it: 1")


def test_a_broker_that_is_down_leaves_the_rest_of_the_answer(house: House) -> None:
    house.register(TAGGER)
    house.plant("photo")
    down = "amqp://nobody@127.0.0.1:1/panopticon?management=http://127.0.0.1:1"
    with reading_app(house.settings.model_copy(update={"broker": down})) as app:
        answer = get(app, "/v1/images/photo")
    assert (answer.status, answer.json["standings"][0]["verdict"]) == (200, "pending")


@pytest.mark.parametrize(
    ("setting", "url", "component"),
    [
        ("store", "cassandra://nobody@127.0.0.1:1/panopticon", "store"),
        ("search", "opensearch://127.0.0.1:1/photos", "search"),
    ],
)
def test_a_store_that_is_down_is_503_with_its_name(
    house: House, setting: str, url: str, component: str
) -> None:
    with reading_app(house.settings.model_copy(update={setting: url})) as app:
        answer = get(app, "/v1/images/photo")
    assert (answer.status, answer.json["type"]) == (503, "/v1/problems/store-down")
    assert answer.json["component"] == component
    assert int(answer.headers["retry-after"]) >= 1


def test_a_database_that_is_gone_is_503_and_is_not_created(house: House, tmp_path: Path) -> None:
    gone = tmp_path / "gone.db"
    with reading_app(house.settings.model_copy(update={"database": f"sqlite:///{gone}"})) as app:
        answer = get(app, "/v1/images/photo")
    assert (answer.status, answer.json["component"]) == (503, "store")
    assert answer.json["detail"] == f"store unavailable: there is no database at {gone}"
    assert not gone.exists()


def test_a_damaged_database_is_503_until_a_copy_is_restored(house: House, tmp_path: Path) -> None:
    house.plant("photo")
    path = tmp_path / "other.db"
    path.write_bytes(b"not a database at all" * 100)
    with reading_app(house.settings.model_copy(update={"database": f"sqlite:///{path}"})) as app:
        answer = get(app, "/v1/images/photo")
        assert (answer.status, answer.json["type"]) == (503, "/v1/problems/store-down")
        assert (answer.json["reason"], answer.headers["retry-after"]) == ("damaged", "60")
        path.unlink()
        with closing(sqlite3.connect(tmp_path / "house.db")) as connection:
            connection.execute("VACUUM INTO ?", (str(path),))
        assert get(app, "/v1/images/photo").status == 200


def test_settings_that_name_no_store_are_no_mistake_of_the_client(house: House) -> None:
    with reading_app(house.settings.model_copy(update={"store": "nosuch://x"})) as app:
        answer = get(app, "/v1/images/photo")
    assert (answer.status, answer.json["reason"]) == (503, "misconfigured")
