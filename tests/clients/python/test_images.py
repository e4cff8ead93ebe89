"""The bodies that the client sends for an image, and its way through many of them."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from panopticon_client import Analysis, Client, Rejected, Unreadable
from tests.clients.python.clocks import ChosenRandom
from tests.clients.python.scripted_host import ANALYSIS, ScriptedHost, refuses, resets, says

PATIENCE_S = 20.0


@pytest.fixture
def host() -> Iterator[ScriptedHost]:
    with ScriptedHost() as host:
        yield host


@pytest.fixture
def asking(host: ScriptedHost) -> Iterator[Client]:
    with Client([host.url], random=ChosenRandom()) as asking:
        yield asking


@pytest.mark.parametrize("image", [b"jpg", bytearray(b"jpg"), memoryview(b"jpg")])
def test_bytes_are_sent_as_they_are(
    image: bytes | bytearray | memoryview, host: ScriptedHost, asking: Client
) -> None:
    asking.analyze(image)
    (received,) = host.received
    assert (received.body, received.headers["Content-Type"]) == (b"jpg", "application/octet-stream")


@pytest.mark.parametrize("as_text", [True, False])
def test_the_file_of_a_path_is_sent(
    as_text: bool, tmp_path: Path, host: ScriptedHost, asking: Client
) -> None:
    path = tmp_path / "a photo.jpg"
    path.write_bytes(b"of a file")
    asking.analyze(str(path) if as_text else path)
    (received,) = host.received
    assert (received.body, received.headers["Content-Length"]) == (b"of a file", "9")


def test_a_uri_is_sent_as_json(host: ScriptedHost, asking: Client) -> None:
    asking.analyze("https://photos.example/ä 1.jpg")
    (received,) = host.received
    assert json.loads(received.body) == {"uri": "https://photos.example/ä 1.jpg"}
    assert received.headers["Content-Type"] == "application/json"


def test_a_file_is_read_from_its_start_for_each_host(
    tmp_path: Path, host: ScriptedHost, asking: Client
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(os.urandom(300_000))
    host.then(resets, refuses(503))
    asking.analyze(path)
    assert [each.body for each in host.received] == [path.read_bytes()] * 3


def test_a_large_file_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    received_bytes = []

    def counts(handler: Any) -> None:
        left_bytes = int(handler.headers["Content-Length"])
        while left_bytes:
            left_bytes -= len(handler.rfile.read(min(left_bytes, 65536)))
        received_bytes.append(int(handler.headers["Content-Length"]))
        says(200, ANALYSIS)(handler)

    counts.before_the_body = True  # type: ignore[attr-defined]
    with ScriptedHost(counts) as host, Client([host.url]) as asking:
        tracemalloc.start()
        try:
            asking.analyze(path)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert received_bytes == [100_000_000]
    assert peak_bytes < 5_000_000


def test_a_file_that_is_absent_is_named_and_nothing_is_asked(
    tmp_path: Path, host: ScriptedHost, asking: Client
) -> None:
    with pytest.raises(Unreadable, match="gone.jpg: No such file or directory"):
        asking.analyze(tmp_path / "gone.jpg")
    assert host.received == []


def test_a_folder_and_a_pipe_are_refused(tmp_path: Path, asking: Client) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="not a regular file"):
        asking.analyze(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="directory"):
        asking.analyze(tmp_path)


def test_a_file_that_becomes_shorter_while_it_is_sent_is_named(
    tmp_path: Path, host: ScriptedHost, asking: Client
) -> None:
    path = tmp_path / "photo.tif"
    with path.open("wb") as file:
        file.truncate(30_000_000)

    def shortens(handler: Any) -> None:
        os.truncate(path, 1_000_000)
        handler.rfile.read(30_000_000)

    shortens.before_the_body = True  # type: ignore[attr-defined]
    host.then(shortens)
    with pytest.raises(Unreadable, match="photo.tif: became shorter while it was being sent"):
        asking.analyze(path)
    path.write_bytes(b"whole again")
    assert asking.analyze(path).host == host.url


def test_a_file_that_grows_while_it_is_sent_is_sent_at_its_former_length(
    tmp_path: Path, host: ScriptedHost, asking: Client
) -> None:
    path = tmp_path / "photo.tif"
    with path.open("wb") as file:
        file.truncate(30_000_000)

    def lengthens(handler: Any) -> None:
        os.truncate(path, 30_000_001)
        handler.rfile.read(30_000_000)
        says(200, ANALYSIS)(handler)

    lengthens.before_the_body = True  # type: ignore[attr-defined]
    host.then(lengthens)
    asking.analyze(path)
    # A byte too many would be the beginning of this request.
    asking.analyze(b"jpg")
    assert [each.body for each in host.received] == [b"", b"jpg"]


def test_many_images_are_answered_in_order_and_a_bad_one_stops_none(
    tmp_path: Path, host: ScriptedHost, asking: Client
) -> None:
    host.then(says(200, ANALYSIS), refuses(422, reason="undecodable"))
    found = list(asking.analyze_many([b"1", b"2", tmp_path / "gone.jpg", b"3"], at_once=1))
    assert [type(each) for each in found] == [Analysis, Rejected, Unreadable, Analysis]


def test_many_images_are_asked_at_once_and_no_more_are_taken_than_that(
    host: ScriptedHost, asking: Client
) -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)
    taken = []

    def together(handler: Any) -> None:
        both.wait()
        says(200, ANALYSIS)(handler)

    def images() -> Iterator[bytes]:
        for number in range(10):
            taken.append(number)
            yield str(number).encode()

    host.otherwise = together
    answers = asking.analyze_many(images(), at_once=2)
    assert taken == []
    assert isinstance(next(answers), Analysis)
    assert taken == [0, 1]
    assert len([*answers]) == 9
    assert sorted(each.body for each in host.received) == [str(number).encode() for number in range(10)]


def test_a_loop_over_many_images_may_end_early(host: ScriptedHost, asking: Client) -> None:
    answers = asking.analyze_many([b"jpg"] * 100, at_once=4)
    next(answers)
    answers.close()
    assert len(host.received) <= 5
    assert not [each for each in threading.enumerate() if each.name.startswith("panopticon-client")]


def test_the_models_of_a_host(host: ScriptedHost, asking: Client) -> None:
    gate = {"max_images": 64, "images": 1, "max_bytes": 100, "bytes": 7}
    row = {
        "name": "tagger@1",
        "model": "tagger",
        "version": 1,
        "digest": "d",
        "state": "ready",
        "active": True,
    }
    host.then(says(200, {"models": [{**row, "gate": gate}, {**row, "state": "down", "reason": "killed"}]}))
    first, second = asking.models()
    assert first.gate is not None
    assert (first.name, first.active, first.gate.images, first.gate.max_bytes) == ("tagger@1", True, 1, 100)
    assert (second.state, second.reason, second.gate) == ("down", "killed", None)
    assert host.received[0].path == "/v1/models"


def test_an_image_by_its_id(host: ScriptedHost, asking: Client) -> None:
    host.then(says(200, {"image_id": "a/b ä", "models": {}}))
    assert asking.image("a/b ä").raw == {"image_id": "a/b ä", "models": {}}
    assert host.received[0].path == "/v1/images/a%2Fb%20%C3%A4"


def test_a_search_passes_its_parameters_on(host: ScriptedHost, asking: Client) -> None:
    host.then(says(200, {"images": [{"image_id": "1"}, {"image_id": "2"}], "cursor": "next"}))
    page = asking.search(all=["cat", "sofa"], limit=2)
    assert (page.image_ids, page.cursor) == (("1", "2"), "next")
    assert host.received[0].path == "/v1/search?all=cat&all=sofa&limit=2"


def test_the_hosts_as_a_host_lists_them(host: ScriptedHost, asking: Client) -> None:
    host.then(says(200, {"hosts": ["http://10.0.0.1:8080/", "https://B.example"], "max_age_s": 30}))
    found = asking.hosts()
    assert (found.hosts, found.max_age_s) == (("http://10.0.0.1:8080", "https://b.example"), 30.0)
