"""Folders as people keep them: search equals the folder, and only new content is inferred."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panopticon.errors import Rejected
from panopticon.results.outputs import FailureState
from tests.contracts.examples import QUALITY
from tests.workers.submission.folder_bench import FolderBench, Interrupted, open_bench
from workers.submission.folder_changes import FileChange
from workers.submission.folder_history import entries_below
from workers.submission.folders import image_id_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[FolderBench]:
    with open_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def indexed(bench: FolderBench) -> FolderBench:
    for name in ("a", "b", "c"):
        bench.write(f"2023/{name}.jpg", f"content of {name}")
    bench.index()
    bench.inferred.clear()
    return bench


def test_nothing_is_inferred_twice(indexed: FolderBench) -> None:
    indexed.index()
    assert indexed.in_search() == indexed.in_folder()
    assert not indexed.inferred


def test_a_renamed_photo_keeps_its_id_and_needs_no_model(indexed: FolderBench) -> None:
    before = indexed.id_of("2023/a.jpg")
    (indexed.photos / "2024").mkdir()
    os.rename(indexed.photos / "2023/a.jpg", indexed.photos / "2024/z.jpg")
    folders = indexed.index()
    assert indexed.id_of("2024/z.jpg") == before
    assert indexed.in_search() == indexed.in_folder()
    assert not indexed.inferred
    (moved,) = folders.changed(FileChange.MOVED)
    (entry,) = entries_below(indexed.house.store.folders, [moved.entry.path])
    assert entry.former_path == os.fsencode(indexed.photos / "2023/a.jpg")
    assert 0 < entry.moved_at_ms <= indexed.house.now_ms()
    row = indexed.house.row(before)
    assert (row.revision, row.located_at_ms > 0) == (0, True)


def test_two_files_that_swap_names_swap_their_places(indexed: FolderBench) -> None:
    first, second = indexed.photos / "2023/a.jpg", indexed.photos / "2023/b.jpg"
    before = indexed.id_of("2023/a.jpg"), indexed.id_of("2023/b.jpg")
    swap(first, second)
    indexed.index()
    assert (indexed.id_of("2023/b.jpg"), indexed.id_of("2023/a.jpg")) == before
    assert indexed.in_search() == indexed.in_folder()
    swap(first, second)
    indexed.index()
    assert (indexed.id_of("2023/a.jpg"), indexed.id_of("2023/b.jpg")) == before
    assert not indexed.inferred


def test_a_cycle_of_three_names_moves_three_photos(indexed: FolderBench) -> None:
    a, b, c = (indexed.photos / f"2023/{name}.jpg" for name in "abc")
    os.rename(a, indexed.photos / "x")
    os.rename(c, a)
    os.rename(b, c)
    os.rename(indexed.photos / "x", b)
    assert len(indexed.index().changed(FileChange.MOVED)) == 3
    assert indexed.in_search() == indexed.in_folder()
    assert not indexed.inferred


def test_a_new_file_where_a_moved_one_was_gets_an_id_of_its_own(indexed: FolderBench) -> None:
    for number in range(3):
        os.rename(indexed.photos / "2023/a.jpg", indexed.photos / f"2023/moved {number}.jpg")
        indexed.write("2023/a.jpg", f"new {number}")
        indexed.index()
        assert indexed.in_search() == indexed.in_folder()
    assert indexed.inferred.total() == 3
    assert indexed.id_of("2023/moved 0.jpg") == image_id_of(bytes(indexed.photos / "2023/a.jpg"))


def test_a_copy_is_a_photo_of_its_own(indexed: FolderBench) -> None:
    shutil.copy2(indexed.photos / "2023/a.jpg", indexed.photos / "2023/copy.jpg")
    indexed.index()
    assert indexed.in_search() == indexed.in_folder()
    assert indexed.inferred.total() == 1


def test_a_gone_photo_is_reported_and_stays_until_it_is_pruned(indexed: FolderBench) -> None:
    (indexed.photos / "2023/a.jpg").unlink()
    for _ in range(2):
        assert [entry.path for entry in indexed.index().gone] == [bytes(indexed.photos / "2023/a.jpg")]
    assert len(indexed.in_search()) == 3
    indexed.index(prune=True)
    assert indexed.in_search() == indexed.in_folder()
    assert not indexed.index().gone


@pytest.mark.parametrize("content", ["new", "other"])
def test_a_photo_that_is_gone_before_its_upload_was_applied_is_deleted_all_the_same(
    indexed: FolderBench, content: str
) -> None:
    name = "2023/new.jpg" if content == "new" else "2023/a.jpg"
    indexed.write(name, content)
    # The run is interrupted before any upload of it was applied.
    indexed.index(work=False)
    (indexed.photos / name).unlink()
    indexed.index(prune=True)
    assert indexed.in_search() == indexed.in_folder()
    store = indexed.house.real.store
    rows = store.catalogue.get(store.images.image_ids(limit=100))
    assert sum(row.deleted for row in rows.values()) == 1


def test_a_photo_that_came_back_and_is_gone_before_that_was_applied_is_deleted_all_the_same(
    indexed: FolderBench,
) -> None:
    photo, kept = indexed.photos / "2023/a.jpg", indexed.photos.parent / "kept.jpg"
    os.rename(photo, kept)
    indexed.index(prune=True)
    os.rename(kept, photo)
    indexed.index(work=False)
    photo.unlink()
    indexed.index(prune=True)
    assert indexed.in_search() == indexed.in_folder()


def test_a_photo_that_comes_back_gets_its_outputs_back(indexed: FolderBench) -> None:
    photo, kept = indexed.photos / "2023/a.jpg", indexed.photos.parent / "kept.jpg"
    before = indexed.id_of("2023/a.jpg")
    os.rename(photo, kept)
    indexed.index(prune=True)
    shutil.copy(kept, indexed.photos / "2023/restored.jpg")
    indexed.index()
    assert indexed.id_of("2023/restored.jpg") == before
    assert indexed.in_search() == indexed.in_folder()
    assert indexed.house.row(before).revision == 1
    assert not indexed.inferred


def test_a_change_that_is_undone_needs_no_model(indexed: FolderBench) -> None:
    indexed.write("2023/a.jpg", "other")
    indexed.index()
    indexed.write("2023/a.jpg", "content of a")
    indexed.index()
    assert indexed.in_search() == indexed.in_folder()
    assert indexed.inferred.total() == 1


def test_content_replaced_at_the_same_size_and_time_is_noticed(indexed: FolderBench) -> None:
    size = len("content of a")
    indexed.write("2023/a.jpg", "x" * size)
    replaced = indexed.write("2023/new", "y" * size)
    os.rename(replaced, indexed.photos / "2023/b.jpg")
    indexed.index()
    assert indexed.in_search() == indexed.in_folder()
    assert indexed.inferred.total() == 2
    assert indexed.house.row(indexed.id_of("2023/b.jpg")).revision == 1


def test_other_owners_modes_times_and_inodes_infer_nothing(indexed: FolderBench) -> None:
    for path in indexed.photos.rglob("*.jpg"):
        path.chmod(0o600)
    indexed.index()
    shutil.copytree(indexed.photos, indexed.photos.parent / "restored")
    shutil.rmtree(indexed.photos)
    os.rename(indexed.photos.parent / "restored", indexed.photos)
    (indexed.photos / "2023/a.jpg").touch()
    assert not indexed.index().gone
    assert indexed.in_search() == indexed.in_folder()
    assert not indexed.inferred


def test_verifying_finds_content_that_changed_though_nothing_else_did(indexed: FolderBench) -> None:
    folders = indexed.house.store.folders
    (entry,) = folders.get([(bytes(indexed.photos), bytes(indexed.photos / "2023/a.jpg"))])
    path = indexed.write("2023/a.jpg", "rotten of a!")
    status = path.stat()
    # A failing disk changes no time: the entry gets the times that the file has now.
    folders.put([replace(entry, ctime_ns=status.st_ctime_ns, seen_at_ms=entry.seen_at_ms + 1)])
    assert not indexed.index().changed(FileChange.CHANGED)
    (changed,) = indexed.index(verify=True).changed(FileChange.CHANGED)
    assert changed.placed.altered_silently
    assert indexed.in_search() == indexed.in_folder()


def test_a_half_written_file_is_run_again_once_it_is_complete(indexed: FolderBench) -> None:
    indexed.write("2023/late.jpg", "broken")
    indexed.index()
    indexed.index()
    assert indexed.inferred.total() == 1
    indexed.write("2023/late.jpg", "complete")
    indexed.index()
    assert indexed.in_search() == indexed.in_folder()


@pytest.mark.parametrize("reason", ["permission_denied", "io_error", "not_found"])
def test_a_file_that_could_not_be_read_is_run_again_once_it_can_be(bench: FolderBench, reason: str) -> None:
    bench.write("a.jpg", "content")
    bench.index(work=False)
    image_id = image_id_of(bytes(bench.photos / "a.jpg"))
    (body,) = bench.house.waiting(QUALITY)
    failure = bench.failure(QUALITY.key(image_id, 0), Rejected(reason), body)
    bench.house.real.store.outputs.put_failures([failure])
    bench.index()
    assert bench.in_search() == bench.in_folder()
    (failure,) = bench.house.real.store.outputs.failures_of([image_id])
    assert failure.state is FailureState.REPLAYED
    assert bench.house.row(image_id).revision == 0


def test_a_file_that_stays_unreadable_is_not_run_again(bench: FolderBench) -> None:
    # The kernel refuses to read this regular file, whoever asks.
    (bench.photos / "a.jpg").symlink_to("/sys/class/net/lo/speed")
    bench.index()
    bench.index()
    assert bench.inferred.total() == 1


def test_a_database_of_an_older_release_goes_on_without_inferring(indexed: FolderBench) -> None:
    folders = indexed.house.store.folders
    folders.erase(entries_below(folders, [bytes(indexed.photos)]))
    (indexed.photos / "2023/a.jpg").touch()
    indexed.index()
    assert not indexed.inferred
    os.rename(indexed.photos / "2023/a.jpg", indexed.photos / "2023/z.jpg")
    indexed.index()
    assert indexed.in_search() == indexed.in_folder()
    assert not indexed.inferred


class TestSpellings:
    @pytest.mark.parametrize(
        "spelled",
        [
            lambda photos: f"{photos}/",
            lambda photos: os.path.relpath(photos),
            lambda photos: f"{photos}/2023/../",
            lambda photos: link_to(photos),
        ],
        ids=["slash", "relative", "dots", "link"],
    )
    def test_one_folder_under_several_spellings_is_one_root(
        self, indexed: FolderBench, spelled: Callable[[Path], str]
    ) -> None:
        folders = indexed.index(spelled(indexed.photos))
        assert len(folders.changed(FileChange.UNCHANGED)) == 3
        assert indexed.house.store.folders.roots() == (bytes(indexed.photos),)

    def test_pruning_a_folder_never_prunes_its_neighbours(self, indexed: FolderBench) -> None:
        indexed.write("2024/d.jpg", "content of d")
        indexed.write("20240/e.jpg", "content of e")
        indexed.index()
        for name in ("2023/a.jpg", "2024/d.jpg", "20240/e.jpg"):
            (indexed.photos / name).unlink()
        assert [entry.path for entry in indexed.index(indexed.photos / "2024", prune=True).gone] == [
            bytes(indexed.photos / "2024/d.jpg")
        ]
        assert "2023/a.jpg" in indexed.in_search()
        assert indexed.house.store.folders.roots() == (bytes(indexed.photos),)

    def test_a_folder_around_a_known_one_takes_it_in(self, bench: FolderBench) -> None:
        bench.write("2023/a.jpg", "content of a")
        bench.write("b.jpg", "content of b")
        bench.index(bench.photos / "2023")
        bench.index()
        bench.inferred.clear()
        os.rename(bench.photos / "2023/a.jpg", bench.photos / "a.jpg")
        os.rename(bench.photos / "b.jpg", bench.photos / "2023/b.jpg")
        bench.index()
        assert bench.in_search() == bench.in_folder()
        assert not bench.inferred

    def test_a_photo_that_was_moved_into_a_named_folder_is_recognised(self, indexed: FolderBench) -> None:
        (indexed.photos / "2024").mkdir()
        os.rename(indexed.photos / "2023/a.jpg", indexed.photos / "2024/a.jpg")
        indexed.index(indexed.photos / "2024")
        assert indexed.in_search() == indexed.in_folder()
        assert not indexed.inferred

    def test_a_single_file_belongs_to_the_root_that_holds_it(self, indexed: FolderBench) -> None:
        indexed.index(indexed.photos / "2023/a.jpg")
        indexed.index(indexed.write("2023/d.jpg", "content of d"))
        assert indexed.house.store.folders.roots() == (bytes(indexed.photos),)
        assert not indexed.index().gone
        assert indexed.inferred.total() == 1

    def test_a_folder_that_was_replaced_by_a_link_to_it_is_the_same(self, indexed: FolderBench) -> None:
        elsewhere = indexed.photos.parent / "disk"
        shutil.move(indexed.photos / "2023", elsewhere)
        (indexed.photos / "2023").symlink_to(elsewhere)
        indexed.index()
        assert not indexed.inferred
        assert sorted(indexed.in_search()) == ["../disk/a.jpg", "../disk/b.jpg", "../disk/c.jpg"]
        (elsewhere / "a.jpg").unlink()
        assert len(indexed.index().gone) == 1


class TestLostFolders:
    def test_photos_of_an_empty_folder_are_gone_and_nothing_is_lost_while_it_was_away(
        self, indexed: FolderBench
    ) -> None:
        away = indexed.photos.parent / "away"
        os.rename(indexed.photos, away)
        indexed.photos.mkdir()
        folders = indexed.index()
        assert len(folders.gone) == folders.listed[bytes(indexed.photos)] == 3
        assert not folders.found
        indexed.photos.rmdir()
        os.rename(away, indexed.photos)
        assert not indexed.index().gone
        assert indexed.in_search() == indexed.in_folder()
        assert not indexed.inferred

    def test_photos_from_another_file_system_are_noticed(self, indexed: FolderBench) -> None:
        folders = indexed.house.store.folders
        for entry in entries_below(folders, [bytes(indexed.photos)]):
            folders.put([replace(entry, device=12345, seen_at_ms=entry.seen_at_ms + 1)])
        (indexed.photos / "2023/a.jpg").unlink()
        assert indexed.index().unmounted == {bytes(indexed.photos)}
        # The files that are there show that it is the same folder.
        assert indexed.index().unmounted == {bytes(indexed.photos)}

    def test_files_that_cannot_be_examined_are_not_gone(
        self, indexed: FolderBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scandir, lstat = os.scandir, os.lstat

        def refusing_scan(path: bytes) -> object:
            refuse(path)
            return scandir(path)

        def refusing_lstat(path: bytes, **options: object) -> os.stat_result:
            refuse(path if isinstance(path, bytes) else b"")
            return lstat(path, **options)  # type: ignore[arg-type]

        def refuse(path: bytes) -> None:
            if b"2023" in path:
                raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "scandir", refusing_scan)
        monkeypatch.setattr(os, "lstat", refusing_lstat)
        folders = indexed.index(prune=True)
        assert (len(folders.gone), len(folders.left_out)) == (0, 3)
        assert len(indexed.in_search()) == 3


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(0, 12), st.booleans())
def test_a_run_that_is_interrupted_at_any_write_is_completed_by_the_next(
    tmp_path_factory: pytest.TempPathFactory, seed: int, writes: int, works_meanwhile: bool
) -> None:
    rng = random.Random(seed)
    with open_bench(tmp_path_factory.mktemp("bench")) as bench:
        for number in range(6):
            bench.write(f"{number}.jpg", f"content {number % 5}")
        bench.index()
        bench.inferred.clear()
        expected = mangle(bench, rng)
        try:
            bench.index(prune=True, writes=writes, work=works_meanwhile)
        except Interrupted:
            if works_meanwhile:
                bench.work()
        bench.index(prune=True)
        assert bench.in_search() == bench.in_folder()
        # What was published before the interruption may be published, and run, once more.
        assert bench.inferred.total() <= 2 * expected
        bench.inferred.clear()
        bench.index(prune=True)
        assert bench.in_search() == bench.in_folder()
        assert not bench.inferred


def mangle(bench: FolderBench, rng: random.Random) -> int:
    """Change files as people do; return the number of contents that were not there before."""
    new = 0
    for number in range(rng.randrange(1, 7)):
        names = sorted(path for path in bench.photos.rglob("*") if path.is_file())
        path = rng.choice(names)
        match rng.randrange(4):
            case 0:
                os.rename(path, bench.photos / f"renamed {number}.jpg")
            case 1:
                swap(path, rng.choice(names))
            case 2:
                bench.write(path.name, f"new {number}")
                new += 1
            case _ if len(names) > 1:
                path.unlink()
    return new


def swap(one: Path, other: Path) -> None:
    if one != other:
        aside = one.with_name("swapping")
        os.rename(one, aside)
        os.rename(other, one)
        os.rename(aside, other)


def link_to(photos: Path) -> str:
    link = photos.parent / "link"
    link.symlink_to(photos)
    return str(link)
