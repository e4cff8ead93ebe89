"""Photos of folders that were moved or are gone: what the commands report, ask and erase."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from storage.originals.files import uri_of
from tests.contracts.examples import QUALITY
from tests.house import House
from tests.workers.cli.conftest import Panopticon
from tests.workers.submission.folder_bench import FolderBench
from workers.submission.folder_history import entries_below
from workers.submission.folders import image_id_of


@pytest.fixture
def bench(house: House, tmp_path: Path) -> FolderBench:
    """Ten photos that are indexed."""
    house.register(QUALITY)
    bench = FolderBench(house=house, photos=tmp_path / "photos")
    for number in range(10):
        bench.write(f"{2020 + number % 2}/{number}.jpg", f"content {number}")
    bench.index()
    bench.inferred.clear()
    return bench


def delete(bench: FolderBench, number: int) -> None:
    for path in sorted(bench.photos.rglob("*.jpg"))[:number]:
        path.unlink()


class TestPruning:
    def test_gone_photos_are_reported_and_stay(self, panopticon: Panopticon, bench: FolderBench) -> None:
        delete(bench, 2)
        ran = panopticon("submit", "photos")
        bench.work()
        assert "2 photos gone; --prune marks them as deleted: 2020/0.jpg, 2020/2.jpg" in ran.err
        assert len(bench.in_search()) == 10

    def test_photos_of_a_folder_that_is_empty_now_may_be_on_a_disk_that_is_not_mounted(
        self, panopticon: Panopticon, bench: FolderBench
    ) -> None:
        delete(bench, 12)
        ran = panopticon("submit", "photos")
        assert "photos gone; mount the disk and repeat: " in ran.err
        assert "--prune" not in ran.err

    def test_pruned_photos_leave_search(self, panopticon: Panopticon, bench: FolderBench) -> None:
        delete(bench, 2)
        ran = panopticon("submit", "photos", "--prune")
        bench.work()
        assert "2 photos marked as deleted" in ran.err
        assert bench.in_search() == bench.in_folder()

    def test_above_the_limit_nothing_is_deleted_and_one_line_shows_how_to_go_on(
        self, panopticon: Panopticon, bench: FolderBench
    ) -> None:
        delete(bench, 3)
        complaint = panopticon("submit", "photos", "--prune").complaint
        bench.work()
        assert complaint == (
            f"{bench.photos}: 3 of 10 photos gone, above prune_limit 0.2: nothing was deleted; if these "
            "photos were deleted on purpose, pass --yes as well as --prune"
        )
        assert len(bench.in_search()) == 10
        assert panopticon("submit", "photos", "--prune", "--yes").code == 0
        bench.work()
        assert bench.in_search() == bench.in_folder()

    def test_pruning_and_its_limit_are_settings(self, panopticon: Panopticon, bench: FolderBench) -> None:
        delete(bench, 3)
        panopticon("--set", "prune=true", "submit", "photos", "--no-prune")
        bench.work()
        assert len(bench.in_search()) == 10
        assert panopticon("--set", "prune=true", "--set", "prune_limit=0.3", "submit", "photos").code == 0
        bench.work()
        assert bench.in_search() == bench.in_folder()

    def test_an_empty_folder_in_the_place_of_a_folder_deletes_nothing(
        self, panopticon: Panopticon, bench: FolderBench
    ) -> None:
        away = bench.photos.with_name("away")
        os.rename(bench.photos, away)
        bench.photos.mkdir()
        complaint = panopticon("--set", "prune_limit=1", "submit", "photos", "--prune").complaint
        assert f"{bench.photos}: no photo is found there any more, of 10: nothing was deleted" in complaint
        bench.photos.rmdir()
        os.rename(away, bench.photos)
        assert panopticon("submit", "photos", "--prune").code == 0
        bench.work()
        assert bench.in_search() == bench.in_folder()

    def test_photos_of_another_file_system_are_not_deleted(
        self, panopticon: Panopticon, bench: FolderBench
    ) -> None:
        folders = bench.house.store.folders
        for entry in entries_below(folders, [bytes(bench.photos)]):
            folders.put([replace(entry, device=12345, seen_at_ms=entry.seen_at_ms + 1)])
        delete(bench, 1)
        complaint = panopticon("submit", "photos", "--prune").complaint
        assert "1 photo gone, from another file system than is there now: nothing was deleted" in complaint
        # Without a photo that is gone, it is the same folder on another disk.
        bench.write("2020/0.jpg", "content 0")
        assert panopticon("submit", "photos", "--prune").code == 0
        delete(bench, 1)
        assert panopticon("submit", "photos", "--prune").code == 0


class TestShow:
    def test_the_story_of_a_moved_photo_is_shown(self, panopticon: Panopticon, bench: FolderBench) -> None:
        old, new = bench.photos / "2020/0.jpg", bench.photos / "2020/z.jpg"
        os.rename(old, new)
        bench.index()
        text = panopticon("show", "photos/2020/z.jpg").out
        assert text.startswith(image_id_of(bytes(old)))
        assert f"from {old}, noticed 20" in text
        (move,) = panopticon("show", str(new), "--json").json["file"]["moves"]
        assert move["former_uri"] == uri_of(bytes(old))

    def test_a_photo_is_found_by_its_former_path_too(
        self, panopticon: Panopticon, bench: FolderBench
    ) -> None:
        os.rename(bench.photos / "2020/0.jpg", bench.photos / "2020/z.jpg")
        bench.index()
        by_old, by_new = (panopticon("show", f"photos/2020/{name}.jpg").out for name in "0z")
        assert by_old == by_new

    def test_a_missing_file_is_shown(self, panopticon: Panopticon, bench: FolderBench) -> None:
        assert panopticon("show", "photos/2020/0.jpg", "--json").json["file"] == {
            "missing": False,
            "moves": [],
        }
        delete(bench, 1)
        assert "there is no such file on this machine" in panopticon("show", "photos/2020/0.jpg").out


def test_an_audit_reports_photos_without_a_file(
    panopticon: Panopticon, bench: FolderBench, pauses: list[float]
) -> None:
    image_id = image_id_of(bytes(bench.photos / "2020/0.jpg"))
    delete(bench, 1)
    by_path = panopticon("audit", "photos", "--json").json
    by_id = panopticon("audit", "--ids", "-", "--json", stdin=image_id.encode()).json
    assert by_path["files_missing"] == by_id["files_missing"] == [image_id]
    assert (len(by_path["verdicts"]), pauses) == (10, [])
    assert f"1 photo without a file on this machine, such as {image_id}" in panopticon("audit", "photos").out


def test_a_photo_that_was_moved_to_another_folder_is_reported_with_both_paths(
    panopticon: Panopticon, bench: FolderBench
) -> None:
    bench.write("../other/a.jpg", "another")
    panopticon("submit", "other")
    os.rename(bench.photos / "2020/0.jpg", bench.photos / "../other/0.jpg")
    other = bench.photos.parent / "other"
    moved = f"1 photo moved or renamed: {bench.photos}/2020/0.jpg → {other}/0.jpg"
    assert moved in panopticon("submit", "photos", "other").err


def test_an_audit_of_a_folder_knows_moved_photos(panopticon: Panopticon, bench: FolderBench) -> None:
    os.rename(bench.photos / "2020/0.jpg", bench.photos / "2020/z.jpg")
    bench.index()
    ran = panopticon("audit", "photos", "--json")
    assert (ran.code, {result["verdict"] for result in ran.json["verdicts"]}) == (0, {"stored"})


class TestErasing:
    def test_every_photo_that_was_ever_under_a_path_is_erased(
        self, panopticon: Panopticon, bench: FolderBench
    ) -> None:
        erased = {image_id_of(bytes(path)) for path in (bench.photos / "2020").iterdir()}
        os.rename(bench.photos / "2020/0.jpg", bench.photos / "2021/moved.jpg")
        (bench.photos / "2020/2.jpg").unlink()
        bench.index(prune=True)
        ran = panopticon("erase", "--under", "photos/2020", "--yes", "--json")
        assert ran.json["images"] == len(erased) == 5
        left = entries_below(bench.house.store.folders, [bytes(bench.photos)])
        assert len(left) == 5
        assert not {entry.image_id for entry in left} & erased
        bench.work()
        assert len(bench.in_search()) == 5

    def test_the_command_that_checks_an_erasure_by_path_names_images_that_are_found(
        self,
        panopticon: Panopticon,
        bench: FolderBench,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The paths leave the folder list with the images, so the IDs are in a file."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        text = panopticon("erase", "--under", "photos/2020", "--yes").out
        bench.work()
        (command,) = re.findall("afterwards: panopticon (.*)", text)
        ran = panopticon(*shlex.split(command))
        assert (ran.code, ran.out) == (
            0,
            "Nothing is stored of 5 images, and no message is in progress.\n",
        )

    def test_an_image_that_is_erased_by_id_leaves_the_folder_list(
        self, panopticon: Panopticon, bench: FolderBench
    ) -> None:
        image_id = image_id_of(bytes(bench.photos / "2020/0.jpg"))
        for old, new in (("2020/0.jpg", "z.jpg"), ("z.jpg", "y.jpg")):
            os.rename(bench.photos / old, bench.photos / new)
            bench.index()
        panopticon("erase", "--ids", "-", "--yes", stdin=image_id.encode())
        left = entries_below(bench.house.store.folders, [bytes(bench.photos)])
        assert image_id not in {entry.image_id for entry in left}

    def test_a_path_without_photos_is_one_line(self, panopticon: Panopticon, bench: FolderBench) -> None:
        assert panopticon("erase", "--under", "nowhere").complaint == "no image was indexed under nowhere"

    def test_nothing_to_erase_is_one_line(self, panopticon: Panopticon) -> None:
        assert panopticon("erase").complaint.endswith(
            "give --ids FILE with one image ID a line, or --under PATH"
        )


def test_a_copy_of_the_folder_on_another_path_is_new(panopticon: Panopticon, bench: FolderBench) -> None:
    shutil.copytree(bench.photos, bench.photos.with_name("copy"))
    bench.index(bench.photos.with_name("copy"))
    assert bench.inferred.total() == 10
    assert len(bench.in_search()) == 20
