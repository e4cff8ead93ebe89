"""A walk takes a person's photos, and nothing that systems and other programs leave among them."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from panopticon.errors import UsageError
from workers.submission.ignore_rules import CACHE_SIGNATURE
from workers.submission.skip_rules import (
    MARKERS,
    MEANINGS,
    RULES,
    SkipKind,
    SkipRule,
    kind_by_markers,
    kind_by_name,
)
from workers.submission.walk import Scan, Scanner, WalkRules, name_used


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def put(folder: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def walk(*paths: Path, exclude: Sequence[str] = (), pairs: Literal["jpeg", "both"] = "jpeg") -> Scan:
    scanner = Scanner(WalkRules.of(exclude, pairs))
    for path in paths:
        scanner.add(os.fsencode(path))
    return scanner.result


def names(scan: Scan, folder: Path) -> list[str]:
    return [os.path.relpath(os.fsdecode(file.path), folder) for file in scan.files]


def skipped(scan: Scan) -> dict[str, tuple[int, int]]:
    """The numbers of files and folders that were skipped, by kind."""
    return {kind.value: (count.files, count.folders) for kind, count in scan.skipped_kinds.items()}


class TestWhatOtherProgramsLeave:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("._IMG_0001.jpg", "mac_metadata"),
            ("__MACOSX/IMG_0001.jpg", "mac_metadata"),
            ("#recycle/deleted.jpg", "trash"),
            ("@Recycle/deleted.jpg", "trash"),
            ("$RECYCLE.BIN/S-1-5/$RABC.jpg", "trash"),
            ("$Recycle.Bin/S-1-5/$RABC.jpg", "trash"),
            (".Trash-1000/files/deleted.jpg", "trash"),
            (".Trashes/501/deleted.jpg", "trash"),
            (".trashed-1700000000-IMG.jpg", "trash"),
            ("@eaDir/IMG_0001.jpg/SYNOPHOTO_THUMB_XL.jpg", "thumbnails"),
            ("SYNOPHOTO_THUMB_XL.jpg", "thumbnails"),
            (".@__thumb/s800IMG.jpg", "thumbnails"),
            ("Previews.lrdata/a.jpg", "thumbnails"),
            ("Photos Library.photoslibrary/resources/derivatives/a.jpeg", "thumbnails"),
            ("MVI_0001.THM", "thumbnails"),
            ("Thumbs.db", "thumbnails"),
            ("IMG_0001.jpg_original", "older_copies"),
            ("IMG_0001.jpg~", "older_copies"),
            (".stversions/a.jpg", "older_copies"),
            ("[Originals]/a.jpg", "older_copies"),
            ("IMG_0009.jpg.part", "unfinished"),
            ("IMG_0009.jpg.crdownload", "unfinished"),
            (".IMG_0010.jpg.Xa12Zq", "unfinished"),
            (".syncthing.IMG_0011.jpg.tmp", "unfinished"),
            ("desktop.ini", "system"),
            ("lost+found/a.jpg", "system"),
            (".hidden.jpg", "hidden"),
            (".cache/a.jpg", "hidden"),
        ],
    )
    def test_it_is_skipped_and_counted_by_kind(self, photos: Path, path: str, kind: str) -> None:
        put(photos, path, content=b"\xff\xd8\xff")
        put(photos, "a.jpg", content=b"\xff\xd8\xff")
        scan = walk(photos)
        assert names(scan, photos) == ["a.jpg"]
        assert skipped(scan) == {kind: (0, 1) if "/" in path else (1, 0)}
        assert not scan.skipped

    @pytest.mark.parametrize(
        "path",
        [
            "cat_original.jpg",
            "holiday_original/a.jpg",
            "part.jpg",
            "a.part/b.jpg",
            "recycle/a.jpg",
            "resources/a.jpg",
            "appdata_1.jpg",
            "thumbnails/a.jpg",
            "thumbs/a.jpg",
            "Photos Library.photoslibrary/originals/0/a.jpeg",
            "$100.jpg",
            "#1.jpg",
            "@home/a.jpg",
            "~a.jpg",
        ],
    )
    def test_a_name_that_only_resembles_it_is_a_photo(self, photos: Path, path: str) -> None:
        put(photos, path)
        assert names(walk(photos), photos) == [path]

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.pattern)
    def test_every_rule_matches_in_any_case(self, rule: SkipRule) -> None:
        example = rule.pattern.replace("[[]", "[").replace("*", "x").replace("?", "a")
        folder, _, name = example.removesuffix("/").rpartition("/")
        is_folder = rule.pattern.endswith("/")
        for form in (name, name.upper(), name.lower()):
            kind = kind_by_name(os.fsencode(folder or "2019"), os.fsencode(form), is_folder=is_folder)
            assert kind is rule.kind

    @pytest.mark.parametrize("marker", MARKERS, ids=lambda marker: marker.pattern)
    def test_every_marker_gives_the_kind_of_its_folder(self, marker: SkipRule) -> None:
        folder, _, name = marker.pattern.rpartition("/")
        assert kind_by_markers(os.fsencode(folder), [b"a.jpg", os.fsencode(name)]) is marker.kind

    def test_a_folder_that_another_program_marks_as_its_own_is_skipped(self, photos: Path) -> None:
        put(photos, "immich/thumbs/.immich", "immich/thumbs/a.jpg")
        put(photos, "immich/upload/.immich", "immich/upload/b.jpg", "storage/.ppstorage", "storage/c.jpg")
        scan = walk(photos)
        assert names(scan, photos) == ["immich/upload/b.jpg"]
        assert skipped(scan)["thumbnails"] == (0, 2)

    def test_what_a_person_names_is_taken_all_the_same(self, photos: Path) -> None:
        put(photos, "@eaDir/a.jpg", "IMG.jpg_original", "drafts/b.jpg", "c.png")
        put(photos / "cache", "CACHEDIR.TAG", content=CACHE_SIGNATURE)
        put(photos / "cache", "d.jpg")
        named = [photos / name for name in ("@eaDir", "IMG.jpg_original", "drafts", "c.png", "cache")]
        scan = walk(photos, *named, exclude=["drafts/", "c.png"])
        assert sorted(names(scan, photos)) == [
            "@eaDir/a.jpg",
            "IMG.jpg_original",
            "c.png",
            "cache/d.jpg",
            "drafts/b.jpg",
        ]

    def test_a_folder_named_like_a_photo_is_a_folder(self, photos: Path) -> None:
        put(photos, "trip.jpg/a.jpg")
        scan = walk(photos)
        assert names(scan, photos) == ["trip.jpg/a.jpg"]
        assert scan.unreadable == []

    def test_pipes_sockets_and_devices_are_counted_and_not_opened(self, photos: Path) -> None:
        os.mkfifo(photos / "pipe.jpg")
        (photos / "zero.jpg").symlink_to("/dev/zero")
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(photos / "socket.jpg"))
        scan = walk(photos)
        assert (names(scan, photos), skipped(scan)) == ([], {"special": (3, 0)})


class TestWhatAPersonExcludes:
    def test_a_pattern_excludes_files_and_folders_as_in_gitignore(self, photos: Path) -> None:
        put(photos, "a.jpg", "a.png", "top.jpg", "drafts/b.jpg")
        put(photos / "deep", "b.png", "drafts/d.jpg", "top.jpg")
        scan = walk(photos, exclude=["*.png", "drafts/", "/top.jpg", "!deep/b.png"])
        assert names(scan, photos) == ["a.jpg", "deep/b.png", "deep/top.jpg"]
        assert skipped(scan) == {"excluded": (2, 2)}

    @pytest.mark.parametrize("end", ["", "/"])
    def test_patterns_are_relative_to_the_folder_however_it_is_named(
        self, photos: Path, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        put(photos, "a/b.jpg", "b.jpg")
        monkeypatch.chdir(photos)
        for name in (str(photos), ".", "../photos"):
            scanner = Scanner(WalkRules.of(["/b.jpg"], "jpeg"))
            scanner.add(os.fsencode(name + end))
            assert names(scanner.result, photos) == ["a/b.jpg"]

    def test_a_name_that_is_not_utf_8_or_has_a_line_feed_can_be_excluded(self, photos: Path) -> None:
        put(photos, os.fsdecode(b"caf\xe9/a.jpg"), "new\nline/b.jpg", "c.jpg")
        scan = walk(photos, exclude=["caf?/", "**/b.jpg"])
        assert names(scan, photos) == ["c.jpg"]

    def test_an_accent_may_be_one_character_or_two(self, photos: Path) -> None:
        put(photos, "Mu\u0308ller/a.jpg", "M\u00fcller/b.jpg", "c.jpg")
        assert names(walk(photos, exclude=["M\u00fcller/"]), photos) == ["c.jpg"]
        assert names(walk(photos, exclude=["Mu\u0308ller/"]), photos) == ["c.jpg"]

    @pytest.mark.parametrize("pattern", ["x[z-a]", "!", "[[:alpha:]]", "a\\"])
    def test_what_is_not_a_pattern_is_refused_by_name(self, photos: Path, pattern: str) -> None:
        with pytest.raises(UsageError) as refused:
            WalkRules.of(["*.png", pattern], "jpeg")
        assert str(refused.value).startswith(f"exclude: {pattern!r} is not a gitignore pattern")

    def test_an_ignore_file_applies_to_its_folder_and_those_below(self, photos: Path) -> None:
        put(photos, "a.jpg", "a.png", "2020/private/e.jpg")
        put(photos / "2019", "a.png", "b.png", "c.jpg", "private/d.jpg")
        put(photos, ".panopticonignore", content=b"# no screenshots\n*.png\n")
        put(photos / "2019", ".panopticonignore", content=b"private/\n!b.png\n")
        scan = walk(photos)
        assert names(scan, photos) == ["a.jpg", "2019/b.png", "2019/c.jpg", "2020/private/e.jpg"]
        assert skipped(scan) == {"ignored": (2, 1)}

    def test_an_ignore_file_may_have_been_written_on_windows(self, photos: Path) -> None:
        put(photos, "a.png", "drafts/b.jpg", "c.jpg")
        put(photos, ".panopticonignore", content=b"\xef\xbb\xbf*.png\r\ndrafts/\r\n")
        assert names(walk(photos), photos) == ["c.jpg"]

    def test_a_folder_whose_ignore_file_cannot_be_used_is_reported_and_not_indexed(
        self, photos: Path
    ) -> None:
        put(photos, "a/1.jpg", "b/2.jpg", "c/3.jpg", "d.jpg")
        put(photos / "a", ".panopticonignore", content=b"*.png\nx[z-a]\n")
        os.mkfifo(photos / "b" / ".panopticonignore")
        put(photos / "c", ".panopticonignore", content=b"#" * (1024 * 1024 + 1))
        scan = walk(photos)
        assert names(scan, photos) == ["d.jpg"]
        assert [line.partition(": ")[2] for line in scan.unreadable] == [
            "its .panopticonignore: 'x[z-a]' is not a gitignore pattern, such as drafts/ or *.png",
            "its .panopticonignore: not a regular file",
            "its .panopticonignore: File too large",
        ]

    def test_a_folder_tagged_as_a_cache_is_skipped(self, photos: Path) -> None:
        put(photos, "cache/a.jpg", "other/b.jpg", "linked/c.jpg")
        put(photos, "cache/CACHEDIR.TAG", content=CACHE_SIGNATURE + b"\n# made by a test\n")
        put(photos, "other/CACHEDIR.TAG", content=b"Signature: other")
        (photos / "linked" / "CACHEDIR.TAG").symlink_to(photos / "cache" / "CACHEDIR.TAG")
        scan = walk(photos)
        assert names(scan, photos) == ["linked/c.jpg", "other/b.jpg"]
        assert skipped(scan) == {"cache": (0, 1)}


class TestPairs:
    @pytest.mark.parametrize(
        ("files", "taken"),
        [
            (["DSC1.JPG", "DSC1.NEF"], ["DSC1.JPG"]),
            (["dsc1.jpeg", "DSC1.ARW"], ["dsc1.jpeg"]),
            (["ÜBER.jpg", "über.dng"], ["ÜBER.jpg"]),
            (["IMG_1.HEIC", "IMG_1.JPG", "IMG_1.MOV"], ["IMG_1.JPG"]),
            (["a.v1.jpg", "a.v1.cr2"], ["a.v1.jpg"]),
            (["DSC1.NEF"], ["DSC1.NEF"]),
            (["DSC1.JPG", "DSC2.NEF"], ["DSC1.JPG", "DSC2.NEF"]),
            (["DSC1.JPG", "raw/DSC1.NEF"], ["DSC1.JPG", "raw/DSC1.NEF"]),
            (["DSC1.png", "DSC1.jpg"], ["DSC1.jpg", "DSC1.png"]),
            (["DSC1.tif", "DSC1.NEF"], ["DSC1.NEF", "DSC1.tif"]),
            (["._DSC1.jpg", "DSC1.NEF"], ["DSC1.NEF"]),
            (["DSC1.jpg/a.jpg", "DSC1.NEF"], ["DSC1.NEF", "DSC1.jpg/a.jpg"]),
        ],
        ids=" ".join,
    )
    def test_a_jpeg_stands_for_the_files_of_its_stem_in_its_folder(
        self, photos: Path, files: list[str], taken: list[str]
    ) -> None:
        put(photos, *files, content=b"II*\0" + bytes(64))
        assert names(walk(photos), photos) == taken

    def test_the_second_file_of_a_pair_is_counted_as_such(self, photos: Path) -> None:
        put(photos, "1.jpg", "1.nef", "2.heic", "2.mov", "3.mov")
        scan = walk(photos)
        assert names(scan, photos) == ["1.jpg", "2.heic"]
        assert skipped(scan) == {"pair": (2, 0)}
        assert scan.skipped == {".mov": 1}

    def test_a_raw_file_is_known_by_its_name_if_no_other_program_uses_that(self, photos: Path) -> None:
        put(photos, "1.dng", "2.CR3", "disk.raw", content=bytes(2000))
        scan = walk(photos)
        assert names(scan, photos) == ["1.dng", "2.CR3"]
        assert scan.skipped == {".raw": 1}

    def test_both_takes_every_file_of_a_pair(self, photos: Path) -> None:
        put(photos, "1.jpg", "1.nef", content=b"II*\0" + bytes(64))
        assert names(walk(photos, pairs="both"), photos) == ["1.jpg", "1.nef"]

    def test_a_raw_file_whose_jpeg_is_excluded_is_a_photo(self, photos: Path) -> None:
        put(photos, "1.jpg", "1.nef", content=b"II*\0" + bytes(64))
        assert names(walk(photos, exclude=["*.jpg"]), photos) == ["1.nef"]

    def test_both_files_of_a_pair_are_taken_if_a_person_names_both(self, photos: Path) -> None:
        put(photos, "1.jpg", "1.nef")
        assert names(walk(photos / "1.jpg", photos / "1.nef"), photos) == ["1.jpg", "1.nef"]


class TestLinks:
    def test_folders_that_share_their_inode_number_are_all_walked(
        self, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(photos, "1/a.jpg", "2/b.jpg", "2/3/c.jpg")
        stat = os.stat

        def stat_without_inode_numbers(path: bytes, **options: Any) -> os.stat_result:
            mode, _, *others = stat(path, **options)
            return os.stat_result((mode, 0, *others))

        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", stat_without_inode_numbers)
            scan = walk(photos)
        assert names(scan, photos) == ["1/a.jpg", "2/b.jpg", "2/3/c.jpg"]

    def test_links_that_lead_round_in_a_circle_end(self, photos: Path) -> None:
        put(photos, "1/a.jpg", "2/b.jpg")
        (photos / "1" / "to 2").symlink_to(photos / "2")
        (photos / "2" / "to 1").symlink_to(photos / "1")
        (photos / "2" / "up").symlink_to("..")
        scan = walk(photos)
        assert (names(scan, photos), scan.unreadable) == (["1/a.jpg", "2/b.jpg"], [])

    def test_two_hard_links_are_two_photos_and_two_soft_links_one(self, photos: Path) -> None:
        put(photos, "a.jpg")
        os.link(photos / "a.jpg", photos / "hard.jpg")
        (photos / "soft 1.jpg").symlink_to("a.jpg")
        (photos / "soft 2.jpg").symlink_to("a.jpg")
        assert names(walk(photos), photos) == ["a.jpg", "hard.jpg"]

    def test_a_link_that_leads_nowhere_is_one_line_under_its_own_name(
        self, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (photos / "2019").symlink_to("/mnt/missing/2019")
        (photos / "self.jpg").symlink_to("self.jpg")
        monkeypatch.chdir(photos.parent)
        scan = walk(Path("photos"))
        assert scan.files == []
        assert scan.unreadable == [
            "photos/2019: a link to /mnt/missing/2019, which does not exist",
            "photos/self.jpg: Too many levels of symbolic links",
        ]
        assert scan.unreadable_paths[0] == b"/mnt/missing/2019"

    def test_a_path_that_is_too_long_is_one_line(self, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(photos)
        for _ in range(20):
            os.mkdir("d" * 240)
            os.chdir("d" * 240)
        Path("a.jpg").write_bytes(b"x")
        put(photos, "b.jpg")
        scan = walk(photos)
        assert names(scan, photos) == ["b.jpg"]
        assert [line.rpartition(": ")[2] for line in scan.unreadable] == ["File name too long"]


class TestWhatAPersonNames:
    def test_a_link_that_leads_nowhere_is_refused_under_its_own_name(
        self, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(photos)
        Path("disk").symlink_to("/mnt/missing")
        line = "^cannot read disk: a link to /mnt/missing, which does not exist$"
        with pytest.raises(UsageError, match=line):
            walk(Path("disk"))

    @pytest.mark.parametrize("name", ["a.jpg/", "a.jpg/b"])
    def test_a_file_named_as_a_folder_is_refused(self, photos: Path, name: str) -> None:
        put(photos, "a.jpg")
        with pytest.raises(UsageError, match="Not a directory$"):
            Scanner().add(os.fsencode(f"{photos}/{name}"))

    def test_a_folder_without_a_photo_is_named(self, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(photos, "letters/a.txt", "good/a.jpg")
        (photos / "disk").mkdir()
        monkeypatch.chdir(photos)
        scan = walk(Path("disk"), Path("letters"), Path("good"), Path())
        assert scan.without_photos == [
            "disk: an empty folder; is its disk mounted?",
            "letters: no photo in it",
        ]

    def test_a_photo_is_shown_below_the_name_that_the_person_used(
        self, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(photos, "2019/a.jpg")
        put(photos.parent, "elsewhere/b.jpg")
        (photos / "link.jpg").symlink_to("../elsewhere/b.jpg")
        (photos.parent / "my photos").symlink_to("photos")
        monkeypatch.chdir(photos.parent)
        scan = walk(Path("my photos"))
        shown = [os.fsdecode(name_used(file.path, scan.roots)) for file in scan.files]
        assert shown == [f"{photos.parent}/elsewhere/b.jpg", "my photos/2019/a.jpg"]


def test_a_folder_that_cannot_be_read_is_not_known_to_be_empty(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(photos, "locked/a.jpg", "b.jpg")
    scandir = os.scandir

    def refusing(path: bytes) -> object:
        if path.endswith(b"locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    scan = walk(photos)
    assert scan.unreadable_paths == [os.fsencode(photos / "locked")]


def test_every_kind_has_words_and_every_rule_is_documented() -> None:
    assert set(MEANINGS) == set(SkipKind)
    page = (Path(__file__).parents[3] / "docs" / "photo-folders.md").read_text("utf-8")
    for rule in (*RULES, *MARKERS):
        assert f"`{rule.pattern}`".replace("\r", "\\r") in page
    for kind, words in MEANINGS.items():
        assert (f"`{kind}`" in page, words in page) == (True, True)
