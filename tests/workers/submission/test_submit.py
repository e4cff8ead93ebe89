"""Files, folders and lists become messages: all of them, or none if anything is wrong."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.errors import UsageError
from panopticon.interfaces import Broker, Store
from panopticon.messages import Lane, decode_image_message
from panopticon.results.outputs import CatalogueImage, VersionName
from storage.originals.files import path_of
from storage.stores import open_store
from tests.panopticon.exif.samples import exif, jpeg_with, taken
from workers.queues import open_broker
from workers.runtime.terminal_text import printable, shown
from workers.submission.folders import image_id_of
from workers.submission.submit import (
    Entry,
    Submission,
    body_of,
    entry_of_row,
    publish,
    read_sources,
    scan_paths,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    yield store
    store.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = open_broker(f"sqlite:///{tmp_path / 'queues.db'}")
    yield broker
    broker.close()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def names(submission: Submission) -> list[bytes]:
    return [os.path.basename(path_of(entry.image_uri or "")) for entry in submission.entries]


def scan(store: Store, *paths: Path) -> Submission:
    return scan_paths([str(path) for path in paths], store)


def read(store: Store, lines: Iterable[bytes | str]) -> Submission:
    encoded = [line.encode() if isinstance(line, str) else line for line in lines]
    return read_sources(["-"], store, stdin=[line + b"\n" for line in encoded])


def remember(store: Store, *entries: Entry, event: str = "uploaded") -> None:
    """Write catalogue rows, like the indexer."""
    rows = [
        CatalogueImage(
            image_id=entry.image_id,
            revision=entry.revision,
            image_uri=entry.image_uri or "",
            event=event,
            occurred_at_ms=1,
        )
        for entry in entries
    ]
    store.catalogue.put(rows)


class TestFolders:
    def test_pictures_are_found_in_sorted_order_folder_by_folder(self, store: Store, photos: Path) -> None:
        (photos / "deep" / "deeper").mkdir(parents=True)
        for name in ("b.jpg", "a.PNG", "deep/d.webp", "deep/c.avif", "deep/deeper/e.tiff"):
            (photos / name).write_bytes(b"x")
        assert names(scan(store, photos)) == [b"a.PNG", b"b.jpg", b"c.avif", b"d.webp", b"e.tiff"]

    def test_other_files_are_skipped_and_counted_by_suffix(self, store: Store, photos: Path) -> None:
        for name in ("a.txt", "b.TXT", "README", "c.jpg"):
            (photos / name).write_bytes(b"x")
        found = scan(store, photos)
        assert names(found) == [b"c.jpg"]
        assert dict(found.skipped) == {".txt": 2, "": 1}

    def test_a_photo_under_another_suffix_is_taken(self, store: Store, photos: Path) -> None:
        (photos / "photo.dat").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
        (photos / "other.dat").write_bytes(bytes(64))
        assert names(scan(store, photos)) == [b"photo.dat"]

    def test_folders_whose_names_begin_with_a_dot_are_not_entered(self, store: Store, photos: Path) -> None:
        (photos / ".thumbnails").mkdir()
        (photos / ".thumbnails" / "a.jpg").write_bytes(b"x")
        assert names(scan(store, photos)) == []

    def test_a_file_that_is_named_itself_is_taken_under_any_name(self, store: Store, photos: Path) -> None:
        (photos / "scan").write_bytes(b"x")
        assert names(scan(store, photos / "scan")) == [b"scan"]

    def test_a_link_back_to_a_folder_above_ends(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        (photos / "again").symlink_to(photos)
        found = scan(store, photos)
        assert (names(found), found.skipped.total()) == ([b"a.jpg"], 0)

    def test_a_linked_folder_is_walked(self, store: Store, photos: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "a.jpg").write_bytes(b"x")
        (photos / "link").symlink_to(elsewhere)
        assert names(scan(store, photos)) == [b"a.jpg"]

    def test_a_file_reached_twice_is_one_image(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        (photos / "b.jpg").symlink_to(photos / "a.jpg")
        assert len(scan(store, photos, photos / "a.jpg").entries) == 1

    @pytest.mark.parametrize("name", ["写真.jpg", "ñ é#?%.jpg", "a,b\n[red].jpg"])
    def test_a_name_comes_back_from_its_uri(self, store: Store, photos: Path, name: str) -> None:
        (photos / name).write_bytes(b"x")
        assert names(scan(store, photos)) == [name.encode()]

    def test_a_name_that_is_not_utf_8_comes_back_from_its_uri(self, store: Store, photos: Path) -> None:
        path = os.path.join(os.fsencode(photos), b"\xff\xfe.jpg")
        with open(path, "wb") as file:
            file.write(b"x")
        (entry,) = scan(store, photos).entries
        assert path_of(entry.image_uri or "") == path
        assert entry.image_id == image_id_of(path)

    def test_a_file_whose_uri_would_be_too_long_is_reported_and_skipped(
        self, store: Store, photos: Path
    ) -> None:
        folder = photos.joinpath(*["写" * 80] * 6)
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(b"x")
        found = scan(store, photos)
        assert found.entries == []
        assert "a.jpg: its URI is longer than 4096 characters" in found.unreadable[0]

    def test_a_folder_that_cannot_be_read_is_named(
        self, store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (photos / "locked").mkdir()
        (photos / "a.jpg").write_bytes(b"x")
        scandir = os.scandir

        def refusing(path: bytes) -> object:
            if path.endswith(b"locked"):
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refusing)
        found = scan(store, photos)
        assert names(found) == [b"a.jpg"]
        assert list(found.unreadable) == [f"{photos}/locked: Permission denied"]

    def test_a_path_that_does_not_exist_is_refused(self, store: Store, photos: Path) -> None:
        with pytest.raises(UsageError, match=f"^no such path: {photos}/missing$"):
            scan(store, photos / "missing")


class TestRevisions:
    def test_a_new_file_has_revision_0(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        assert scan(store, photos).entries[0].revision == 0

    def test_an_unchanged_file_keeps_its_revision(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        remember(store, scan(store, photos).entries[0]._replace(revision=4))
        assert scan(store, photos).entries[0].revision == 4

    def test_a_file_of_another_size_gets_the_next_revision(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        remember(store, scan(store, photos).entries[0]._replace(revision=4))
        moment = os.stat(photos / "a.jpg").st_mtime_ns
        (photos / "a.jpg").write_bytes(b"xy")
        os.utime(photos / "a.jpg", ns=(moment, moment))
        assert scan(store, photos).entries[0].revision == 5

    def test_a_file_of_another_time_gets_the_next_revision(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        remember(store, scan(store, photos).entries[0])
        os.utime(photos / "a.jpg", ns=(5, 5))
        assert scan(store, photos).entries[0].revision == 1

    def test_a_deleted_image_whose_file_exists_again_gets_the_next_revision(
        self, store: Store, photos: Path
    ) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        remember(store, scan(store, photos).entries[0]._replace(revision=2), event="deleted")
        assert scan(store, photos).entries[0].revision == 3

    def test_every_one_of_many_files_is_looked_up(self, store: Store, photos: Path) -> None:
        for number in range(1100):
            (photos / f"{number}.jpg").touch()
        remember(store, *(entry._replace(revision=7) for entry in scan(store, photos).entries))
        assert {entry.revision for entry in scan(store, photos).entries} == {7}


class TestLists:
    def test_a_csv_names_ids_uris_and_revisions(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text("1,s3://bucket/1\n\n2,s3://bucket/2,7\n3\n")
        entries = read_sources([str(tmp_path / "list.csv")], store, stdin=[]).entries
        assert [entry[:3] for entry in entries] == [
            ("1", "s3://bucket/1", 0),
            ("2", "s3://bucket/2", 7),
            ("3", None, 0),
        ]

    def test_a_header_names_the_columns_in_any_order(self, store: Store, tmp_path: Path) -> None:
        text = "\ufefftaken,Image_URI,revision,image_id\n2001,s3://bucket/1,3,one\n"
        (tmp_path / "list.csv").write_text(text, encoding="utf-8")
        entries = read_sources([str(tmp_path / "list.csv")], store, stdin=[]).entries
        assert [entry[:3] for entry in entries] == [("one", "s3://bucket/1", 3)]

    def test_standard_input_takes_paths_rows_and_messages_line_by_line(
        self, store: Store, photos: Path
    ) -> None:
        (photos / "a, b.jpg").write_bytes(b"x")
        message = json.dumps({"image_id": "2", "event": "deleted", "revision": 3, "message_id": "m"})
        entries = read(store, [str(photos / "a, b.jpg"), "", "1,s3://bucket/1", message, "4,"]).entries
        found = {entry.image_id: entry for entry in entries}
        assert found.keys() == {image_id_of(os.fsencode(photos / "a, b.jpg")), "1", "2", "4"}
        assert found["2"] == Entry("2", None, 3, "deleted", 0, "m")

    def test_standard_input_that_begins_with_a_header_is_csv(self, store: Store) -> None:
        entries = read(store, ["image_uri,image_id", "s3://bucket/1,one"]).entries
        assert [entry[:2] for entry in entries] == [("one", "s3://bucket/1")]

    def test_a_repeated_row_counts_once(self, store: Store) -> None:
        assert len(read(store, ["1,s3://bucket/1", "1,s3://bucket/1"]).entries) == 1

    def test_a_changed_picture_may_have_a_new_uri_under_a_higher_revision(self, store: Store) -> None:
        assert len(read(store, ["1,s3://bucket/1,0", "1,s3://bucket/1b,1"]).entries) == 2

    @pytest.mark.parametrize(
        ("lines", "fault"),
        [
            (
                ["1,s3://b/1", "2,s3://b/2", "1,s3://b/3"],
                r"line 3: image '1' has another URI than in .*line 1",
            ),
            (["ok,s3://b/1", "i" * 256 + ",s3://b/1"], "line 2: image_id is 'i+'; .* 255"),
            (["ok,s3://b/1", ",s3://b/2"], "line 2: image_id is ''; .* at least 1"),
            (["a\tb,s3://b/1"], "line 1: image_id is .*; it must not contain control characters"),
            (["1,s3://b/1,-1"], "line 1: revision is '-1'; it must be a whole number from 0"),
            (["1,s3://b/1,99999999999999999999999"], "line 1: revision is '9+'; "),
            (["1,s3://b/1,2,3"], "line 1: 4 columns; a row is image_id,image_uri,revision"),
            (['{"image_id": 7}'], "line 1: image_id is 7; "),
            (["{"], "line 1: Invalid JSON"),
            (["", "/no/such/place.jpg"], "line 2: no such path: /no/such/place.jpg"),
            ([b"\xff,s3://b/1"], "line 1: not UTF-8"),
            (["image_id,image_uri", "1,photos/1.jpg"], "line 2: 'photos/1.jpg' is not a URI"),
            (["image_id,image_uri", 'a"b,"s3://b/' + "x" * 200_000], "line 2: a value has more than 131072"),
        ],
    )
    def test_a_mistake_is_reported_with_its_line(
        self, store: Store, lines: list[str | bytes], fault: str
    ) -> None:
        with pytest.raises(UsageError, match=f"^standard input.*{fault}") as caught:
            read(store, lines)
        assert "\n" not in str(caught.value)

    def test_a_conflict_between_two_files_names_both(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("1,s3://b/1\n")
        (tmp_path / "b.csv").write_text("\n1,s3://b/2\n")
        with pytest.raises(UsageError, match=r"b\.csv, line 2: .*a\.csv, line 1"):
            read_sources([str(tmp_path / name) for name in ("a.csv", "b.csv")], store, stdin=[])

    def test_reading_a_million_rows_takes_linear_time(self, store: Store) -> None:
        def rows(count: int) -> Iterator[bytes]:
            return (b"%d,s3://bucket/%d\n" % (number, number) for number in range(count))

        def cost_s(count: int) -> float:
            begun_s = time.process_time()
            assert len(read_sources(["-"], store, stdin=rows(count)).entries) == count
            return time.process_time() - begun_s

        cost_s(1000)
        assert cost_s(40_000) < 40 * max(cost_s(4_000), 0.01)


class TestPublishing:
    def test_every_entry_reaches_the_queues_once(self, broker: Broker) -> None:
        version = VersionName(model="tagger", version=1)
        broker.topology.bind(version)
        entries = [Entry(str(number), f"s3://b/{number}", number) for number in range(1201)]
        heard: list[int] = []
        publish(entries, broker.uploads, Lane.BACKFILL, now_ms=1000, progress=heard.append)
        bodies = broker.model_queue(version).receive(max_live=9999, max_backfill=9999, wait_s=0)
        messages = [decode_image_message(delivery.body) for delivery in bodies]
        assert [(m.image_id, m.image_uri, m.revision) for m in messages] == [tuple(e[:3]) for e in entries]
        assert {delivery.lane for delivery in bodies} == {Lane.BACKFILL}
        assert len({message.message_id for message in messages}) == 1201
        assert heard == [500, 1000, 1201]

    def test_a_photo_has_the_time_at_which_it_was_taken(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(jpeg_with(exif(taken("1944:06:06 06:30:00", zone=b"+01:00"))))
        os.utime(photos / "a.jpg", (86400, 86400))
        (entry,) = scan(store, photos).entries
        assert b'"occurred_at":"1944-06-06T05:30:00Z"' in body_of(entry, now_ms=1)

    def test_a_photo_named_in_a_list_has_it_too(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(jpeg_with(exif(taken("2019:07:01 10:20:30"))))
        listed = [os.fsencode(photos / "a.jpg") + b"\n"]
        (entry,) = read_sources(["-"], store, stdin=listed).entries
        assert b'"occurred_at":"2019-07-01T10:20:30Z"' in body_of(entry, now_ms=1_800_000_000_000)

    def test_a_time_later_than_tomorrow_is_not_believed(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(jpeg_with(exif(taken("2019:07:01 10:20:30"))))
        os.utime(photos / "a.jpg", (86400, 86400))
        (entry,) = scan(store, photos).entries
        assert b'"occurred_at":"1970-01-02T00:00:00Z"' in body_of(entry, now_ms=1)

    def test_a_photo_that_vanished_has_the_time_of_its_file(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        os.utime(photos / "a.jpg", (86400, 86400))
        (entry,) = scan(store, photos).entries
        (photos / "a.jpg").unlink()
        os.mkfifo(photos / "a.jpg")
        assert b'"occurred_at":"1970-01-02T00:00:00Z"' in body_of(entry, now_ms=1)

    def test_an_image_of_the_catalogue_without_a_time_stays_without(self) -> None:
        row = CatalogueImage(image_id="a", revision=0, image_uri="", event="uploaded", occurred_at_ms=0)
        assert b"occurred_at" not in body_of(entry_of_row(row), now_ms=5000)

    def test_the_upload_of_a_file_happened_when_it_was_changed(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        os.utime(photos / "a.jpg", (86400, 86400))
        (entry,) = scan(store, photos).entries
        assert b'"occurred_at":"1970-01-02T00:00:00Z"' in body_of(entry, now_ms=1)

    def test_a_file_may_be_older_than_1970(self, store: Store, photos: Path) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        os.utime(photos / "a.jpg", (-86400, -86400))
        (entry,) = scan(store, photos).entries
        assert b'"occurred_at":"1969-12-31T00:00:00Z"' in body_of(entry, now_ms=5000)

    @pytest.mark.parametrize("moment_s", [-5, 0])
    def test_a_file_without_a_time_has_that_of_now(self, store: Store, photos: Path, moment_s: int) -> None:
        (photos / "a.jpg").write_bytes(b"x")
        os.utime(photos / "a.jpg", (moment_s, moment_s))
        (entry,) = scan(store, photos).entries
        assert b'"occurred_at":"1970-01-01T00:00:05Z"' in body_of(entry, now_ms=5000)


@given(st.binary())
def test_a_path_is_shown_without_control_characters(path: bytes) -> None:
    assert shown(path).isprintable()


@given(st.text())
def test_printable_text_is_shown_as_it_is(text: str) -> None:
    assert (printable(text) == text) == text.isprintable()
