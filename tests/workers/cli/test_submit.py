"""`panopticon submit`."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.messages import decode_image_message
from tests.contracts.examples import TAGGER
from tests.house import House
from tests.workers.cli.conftest import Panopticon


def test_a_folder_s_pictures_reach_every_bound_version_s_queue(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    house.register()
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg", "notes.txt"):
        (tmp_path / "photos" / name).write_bytes(b"x")
    ran = panopticon("submit", "photos")
    assert (ran.code, ran.out) == (0, "2 images accepted, lane live.\nNext: panopticon status\n")
    assert ran.err == "1 other file skipped (1 .txt)\n"
    assert len(house.waiting()) == 2


def test_backfill_goes_on_its_own_lane(panopticon: Panopticon, house: House) -> None:
    house.register(TAGGER)
    assert panopticon("submit", "-", "--lane", "backfill", stdin=b"1,s3://b/1\n").code == 0
    depths = {lane.value: depth.ready for lane, depth in house.broker.model_queue(TAGGER).depth().items()}
    assert depths == {"live": 0, "backfill": 1}


def test_a_message_keeps_its_revision_and_its_message_id(panopticon: Panopticon, house: House) -> None:
    house.register(TAGGER)
    body = b'{"image_id": "7", "image_uri": "s3://b/7", "revision": 2, "message_id": "mine"}\n'
    panopticon("submit", "-", stdin=body)
    (message,) = map(decode_image_message, house.waiting())
    assert (message.image_id, message.revision, message.message_id) == ("7", 2, "mine")


def test_without_a_bound_model_it_warns_and_still_fills_the_catalogue(
    panopticon: Panopticon, house: House
) -> None:
    ran = panopticon("submit", "-", stdin=b"1,s3://b/1\n")
    assert ran.code == 0
    assert "No model is bound yet" in ran.err
    assert sum(depth.total for depth in house.broker.catalogue().depth().values()) == 1


def test_an_id_without_a_uri_is_a_warning_unless_originals_is_set(
    panopticon: Panopticon, house: House
) -> None:
    house.register()
    assert "1 image without a URI" in panopticon("submit", "-", stdin=b"1,\n").err
    template = "--set=originals=file:///photos/{image_id}"
    assert panopticon(template, "submit", "-", stdin=b"1,\n").err == ""


def test_nothing_is_sent_if_a_later_line_is_wrong(panopticon: Panopticon, house: House) -> None:
    house.register(TAGGER)
    rows = "".join(f"{number},s3://b/{number}\n" for number in range(700)) + "5,s3://b/other\n"
    Path("list.csv").write_text(rows)
    complaint = panopticon("submit", "list.csv").complaint
    assert complaint.startswith("list.csv, line 701: image '5' has another URI than in list.csv, line 6;")
    assert house.waiting() == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (
            "image_id\na1\n".encode("utf-16"),
            "list.csv: the text is in UTF-16; save it as UTF-8 (in Excel: CSV UTF-8), or convert it with "
            "iconv -f UTF-16 -t UTF-8",
        ),
        (
            b'image_id,revision\n"a1,2\na2,3\n',
            'list.csv, line 2: a quote opens here and is never closed; close it, or write "" for a quote '
            "inside a value",
        ),
        (
            b"image_id,image_url\na1,s3://b/1\n",
            "list.csv, line 1: the column 'image_url' would be ignored; name it image_uri if it is that one, "
            "or else remove it",
        ),
        (
            b"image_id,event\na1,Deleted\n",
            "list.csv, line 2: event is 'Deleted'; it should be 'uploaded' or 'deleted'",
        ),
        (
            b"a1,C:\\x.jpg\n",
            "list.csv, line 1: 'C:\\\\x.jpg' is a path of Windows, not a URI; write where this machine has "
            "the file, such as file:///mnt/c/photos/1.jpg",
        ),
        (b"path\nmissing.jpg\n", "list.csv, line 2: no such path: missing.jpg"),
        (
            b"[]\n[]\x1b[31m\n",
            "list.csv, line 2: image_id is '[]\\x1b[31m'; it must not contain control characters",
        ),
    ],
)
def test_a_malformed_list_is_one_line_and_sends_nothing(
    panopticon: Panopticon, house: House, body: bytes, complaint: str
) -> None:
    house.register(TAGGER)
    Path("list.csv").write_bytes(body)
    assert panopticon("submit", "list.csv").complaint == complaint
    assert house.waiting() == []


@pytest.mark.parametrize("name", ["list.csv", "list.TSV"])
def test_the_column_event_deletes_and_uploads(panopticon: Panopticon, house: House, name: str) -> None:
    house.register(TAGGER)
    Path(name).write_text("image_id\timage_uri\tevent\trevision\na1\t\tdeleted\t3\na2\ts3://b/2\t\t\n")
    assert panopticon("submit", name).out.startswith("2 images accepted")
    messages = [decode_image_message(each.body) for each in house.take(house.broker.catalogue())]
    assert [(message.image_id, message.event, message.revision) for message in messages] == [
        ("a1", "deleted", 3),
        ("a2", "uploaded", 0),
    ]


@pytest.mark.parametrize("separator", ["\n", "\0"])
def test_a_list_of_paths_is_the_files(panopticon: Panopticon, house: House, separator: str) -> None:
    house.register(TAGGER)
    for name in ("a, b.jpg", "c.jpg"):
        Path(name).write_bytes(b"x")
    listing = separator.join(["./a, b.jpg", "./c.jpg", ""]).encode()
    Path("list.csv").write_bytes(listing)
    assert panopticon("submit", "-", stdin=listing).out.startswith("2 images accepted")
    assert panopticon("submit", "list.csv").out.startswith("2 images accepted")
    uris = [decode_image_message(body).image_uri or "" for body in house.waiting()]
    names = [uri.partition("#")[0].rpartition("/")[2] for uri in uris]
    assert sorted(names) == ["a%2C%20b.jpg", "a%2C%20b.jpg", "c.jpg", "c.jpg"]


@pytest.mark.parametrize("body", [b"image_id\nphotos/1.jpg\n", b'{"image_id": "photos/1.jpg"}\n'])
def test_an_id_that_is_a_file_here_is_reported_if_originals_makes_a_uri_of_it(
    panopticon: Panopticon, house: House, body: bytes
) -> None:
    house.register(TAGGER)
    Path("photos").mkdir()
    Path("photos/1.jpg").write_bytes(b"x")
    ran = panopticon("--set=originals=file:///archive/{image_id}", "submit", "-", stdin=body)
    assert ran.out.startswith("1 image accepted")
    assert " ".join(ran.err.split()) == (
        "The ID 'photos/1.jpg' looks like a path, and is sent as an ID; begin a list of paths with the "
        "header path."
    )


def test_an_id_without_a_file_is_not_reported(panopticon: Panopticon, house: House) -> None:
    house.register(TAGGER)
    ran = panopticon("--set=originals=file:///{image_id}", "submit", "-", stdin=b"image_id\nphotos/1.jpg\n")
    assert ran.err == ""


def test_a_folder_without_pictures_is_reported(panopticon: Panopticon, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = panopticon("submit", "empty")
    assert (ran.code, ran.out) == (0, "Nothing to submit: no pictures found.\n")
    assert "nothing to index in empty: an empty folder; is its disk mounted?\n" in ran.err


def test_what_a_setting_and_an_option_exclude_is_counted(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    house.register(TAGGER)
    for name in ("a.jpg", "b.png", "drafts/c.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"x")
    ran = panopticon("--set", "exclude=drafts/", "submit", "photos", "--exclude", "*.png")
    assert ran.out.startswith("1 image accepted")
    (line,) = [line for line in ran.err.splitlines() if line.startswith("excluded (--exclude)")]
    assert line.split()[2:] == ["1", "1", "photos/b.png"]
    assert len(house.waiting()) == 1


def test_what_cannot_be_read_makes_exit_code_1_and_all_else_is_sent(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    house.register(TAGGER)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    (tmp_path / "photos" / "2019").symlink_to("/mnt/missing")
    ran = panopticon("submit", "photos")
    assert ran.code == 1
    assert "cannot read photos/2019: a link to /mnt/missing, which does not exist\n" in ran.err
    assert len(house.waiting()) == 1


def test_a_pattern_that_matches_nothing_is_a_warning_but_not_one_of_the_setting(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    house.register()
    (tmp_path / "photos" / "drafts").mkdir(parents=True)
    (tmp_path / "photos" / "drafts" / "a.jpg").write_bytes(b"x")
    options = ("--exclude", "photos/drafts", "--exclude", "drafts/")
    ran = panopticon("--set", "exclude=*.gif", "submit", "photos", *options)
    (line,) = [line for line in ran.err.splitlines() if "matched nothing" in line]
    assert line.startswith("--exclude 'photos/drafts' matched nothing")


def test_a_pattern_that_is_wrong_is_one_line(panopticon: Panopticon) -> None:
    complaint = panopticon("submit", ".", "--exclude", "x[z-a]").complaint
    assert complaint == "exclude: 'x[z-a]' is not a gitignore pattern, such as drafts/ or *.png"


def test_a_missing_path_is_one_line(panopticon: Panopticon) -> None:
    assert panopticon("submit", "missing").complaint == "no such path: missing"


def test_a_csv_that_does_not_exist_is_a_missing_path(panopticon: Panopticon) -> None:
    assert panopticon("submit", "list.csv").complaint == "no such path: list.csv"
