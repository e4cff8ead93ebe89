"""`panopticon erase`: confirmed first, then done, then checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.messages import ImageMessage, Lane, encode
from tests.contracts.examples import QUALITY, TAGGER, failure, image, key, output, part, result
from tests.house import House
from tests.workers.cli.conftest import Panopticon


@pytest.fixture(autouse=True)
def photo(house: House) -> None:
    house.register()
    house.store.catalogue.put([image("me", revision=1)])
    house.store.outputs.put([output(key("me", revision=1))])
    house.store.outputs.put_failures([failure(key("me", version=QUALITY, revision=1))])


def kept(house: House) -> int:
    return len(house.store.outputs.versions_of("me")) + len(house.store.outputs.failures_of(["me"]))


def test_everything_about_an_image_is_erased_and_counted(panopticon: Panopticon, house: House) -> None:
    ran = panopticon("erase", "--ids", "-", "--yes", stdin=b"me\nnobody\n")
    assert (ran.code, kept(house)) == (0, 0)
    assert "1 image erased: 1 output, 1 failure." in ran.out
    assert "1 ID with nothing stored." in ran.out
    assert "1 message in progress, which may store an output again" in ran.out


def test_the_text_names_what_removes_the_images_from_search_until_that_is_done(
    panopticon: Panopticon, house: House
) -> None:
    by = "A running panopticon indexer removes deleted images from search; "
    assert by in panopticon("erase", "--ids", "-", "--yes", stdin=b"me\n").out
    assert by in panopticon("erase", "--ids", "-", "--check", stdin=b"me\n").out
    house.index()
    assert house.document("me").deleted
    assert by not in panopticon("erase", "--ids", "-", "--check", stdin=b"me\n").out


def test_spaces_inside_an_id_belong_to_it(panopticon: Panopticon, house: House) -> None:
    ran = panopticon("erase", "--ids", "-", "--yes", "--json", stdin="m e\nm\u2028e\n".encode())
    assert ran.json["erased"]["unknown"] == ["m e", "m\u2028e"]
    assert kept(house) == 2


def test_spaces_around_an_id_do_not_belong_to_it(panopticon: Panopticon, house: House) -> None:
    ran = panopticon("erase", "--ids", "-", "--yes", "--json", stdin=" me\u2028\n".encode())
    assert ran.json["erased"]["unknown"] == []
    assert kept(house) == 0


def test_after_the_indexer_has_applied_the_deletion_no_message_is_in_progress(
    panopticon: Panopticon, house: House
) -> None:
    panopticon("erase", "--ids", "-", "--yes", stdin=b"me\n")
    queue = house.broker.catalogue()
    queue.ack(queue.receive(max_live=9, max_backfill=9, wait_s=0))
    ran = panopticon("erase", "--ids", "-", "--check", stdin=b"me\nnobody\n")
    assert (ran.code, ran.out) == (0, "Nothing is stored of 2 images, and no message is in progress.\n")


def test_the_same_as_json(panopticon: Panopticon) -> None:
    printed = panopticon("erase", "--ids", "-", "--yes", "--json", stdin=b"me\nnobody\n").json
    assert printed == {
        "ok": True,
        "final": False,
        "images": 2,
        "erased": {
            "images": 1,
            "outputs": 1,
            "failures": 1,
            "unknown": ["nobody"],
            "revisions": {"me": 2},
        },
        "in_flight": 0,
        "delayed": 0,
        "on_the_way": 1,
        "kept": [],
        "in_search": [],
    }


def test_messages_in_progress_are_reported(panopticon: Panopticon, house: House) -> None:
    house.broker.uploads.publish([ImageMessage(image_id="me")], Lane.LIVE)
    ran = panopticon("erase", "--ids", "-", "--yes", stdin=b"me\n")
    assert ran.code == 0
    assert "4 messages in progress, which may store an output again" in ran.out
    assert "afterwards: panopticon erase --ids - --check" in ran.out


def test_messages_on_a_retry_delay_are_reported_and_the_erasure_is_final(
    panopticon: Panopticon, house: House
) -> None:
    queue = house.broker.model_queue(TAGGER)
    queue.submit([encode(ImageMessage(image_id="me", revision=1))], Lane.LIVE)
    (delivery,) = queue.receive(max_live=1, max_backfill=0, wait_s=0)
    queue.retry(delivery, delay_s=3600)
    panopticon("erase", "--ids", "-", "--yes", stdin=b"me\n")
    house.index()
    ran = panopticon("erase", "--ids", "-", "--check", stdin=b"me\n")
    assert ran.out == (
        "1 message on a retry delay, which stores nothing: workers skip deleted images.\n"
        "Nothing is stored of 1 image, and no message is in progress.\n"
    )
    assert panopticon("erase", "--ids", "-", "--check", "--json", stdin=b"me\n").json["final"] is True


def test_check_erases_nothing_and_exits_with_1_while_anything_is_stored(
    panopticon: Panopticon, house: House
) -> None:
    ran = panopticon("erase", "--ids", "-", "--check", stdin=b"me\n")
    assert (ran.code, kept(house)) == (1, 2)
    assert "kept  me: 1 output, 1 failure, not deleted in the catalogue" in ran.out
    panopticon("erase", "--ids", "-", "--yes", stdin=b"me\n")
    assert panopticon("erase", "--ids", "-", "--check", stdin=b"me\n").code == 0


def test_an_image_that_search_still_finds_is_reported(panopticon: Panopticon, house: House) -> None:
    house.search.apply([result("me", part(revision=1, cat=0.9))])
    ran = panopticon("erase", "--ids", "-", "--yes", stdin=b"me\n")
    assert ran.code == 0
    assert "1 image still in search until the indexer has applied the deletion" in ran.out


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 130, 2), ("", 130, 2)])
def test_a_person_is_asked_first(
    panopticon: Panopticon,
    house: House,
    tmp_path: Path,
    answer: str,
    code: int,
    left: int,
) -> None:
    (tmp_path / "ids.txt").write_text("me\n")
    ran = panopticon("erase", "--ids", "ids.txt", stdin=answer.encode())
    assert (ran.code, kept(house)) == (code, left)
    assert "Every output and failure of 1 image will be removed for good. Continue?" in ran.err


@pytest.mark.parametrize(
    ("arguments", "stdin", "complaint"),
    [
        (("--ids", "-"), b"me\n", "cannot prompt while IDs are read from standard input; pass --yes"),
        (("--ids", "-", "--yes"), b"", "standard input: it holds no image ID; write one a line"),
        (
            ("--ids", "-", "--yes"),
            b"me\n\n",
            "standard input, line 2: it is blank; write one image ID a line",
        ),
        (
            ("--ids", "missing", "--yes"),
            b"",
            "cannot read missing: No such file or directory",
        ),
    ],
)
def test_a_mistake_is_one_line(
    panopticon: Panopticon, house: House, arguments: tuple[str, ...], stdin: bytes, complaint: str
) -> None:
    assert panopticon("erase", *arguments, stdin=stdin).complaint == complaint
    assert kept(house) == 2
