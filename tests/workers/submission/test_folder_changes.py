"""The comparison of folders with their list, for any sequence of renames, copies, changes and deletes."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panopticon.results.folder_entries import FolderEntry, Presence
from workers.submission.folder_changes import (
    FileChange,
    FolderChanges,
    FolderContents,
    Listing,
    compare,
    files_to_read,
)
from workers.submission.folders import FoundFile

PATHS = tuple(b"/photos/" + name for name in (b"a", b"b", b"c", b"2024/a", b"2024/b"))
CONTENTS = (b"red", b"blue", b"rose", b"snow", b"")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Folder:
    """A folder in memory: the content and the inode at each path. Times of change never repeat."""

    def __init__(self) -> None:
        self.files: dict[bytes, FoundFile] = {}
        self.contents: dict[bytes, bytes] = {}
        self._numbers = count(1)

    def write(self, path: bytes, content: bytes) -> None:
        self.contents[path] = content
        inode = self.files[path].inode if path in self.files else next(self._numbers)
        self.files[path] = FoundFile(
            path=path, size_bytes=len(content), mtime_ns=1, ctime_ns=next(self._numbers), inode=inode
        )

    def move(self, old: bytes, new: bytes) -> None:
        if old in self.files and old != new:
            file = self.files.pop(old)
            self.files[new] = replace(file, path=new, ctime_ns=next(self._numbers))
            self.contents[new] = self.contents.pop(old)

    def swap(self, one: bytes, other: bytes) -> None:
        if one in self.files and other in self.files and one != other:
            self.move(one, b"/photos/swapping")
            self.move(other, one)
            self.move(b"/photos/swapping", other)

    def copy(self, old: bytes, new: bytes) -> None:
        if old in self.files and old != new:
            self.files.pop(new, None)
            self.write(new, self.contents[old])

    def delete(self, path: bytes, _: bytes = b"") -> None:
        if path in self.files:
            del self.files[path], self.contents[path]

    def restore_elsewhere(self, _: bytes = b"", __: bytes = b"") -> None:
        """Give every file another inode and time of change, as a restore to another disk does."""
        for path, file in self.files.items():
            inode, ctime_ns = next(self._numbers), next(self._numbers)
            self.files[path] = replace(file, inode=inode, ctime_ns=ctime_ns)


class Shelf:
    """A list of a folder, kept from one comparison to the next."""

    def __init__(self) -> None:
        self.entries: dict[tuple[bytes, str], FolderEntry] = {}
        self.times = count(1)
        self._ids = count(1)

    def compare(self, folder: Folder) -> FolderChanges:
        found = sorted(folder.files.values(), key=lambda file: file.path)
        listing = Listing(self.entries.values())
        absent = {entry.path for entry in self.entries.values()} - folder.files.keys()
        read = files_to_read(found, listing, absent, verify=False)
        known = {file.path: sha256(folder.contents[file.path]) for file in read}
        return compare(found, listing, FolderContents(sha256=known, absent=absent))

    def record(self, changes: FolderChanges, folder: Folder, *, prune: bool) -> dict[bytes, str]:
        """Keep the result; return the ID at each path."""
        now = next(self.times)
        ids: dict[bytes, str] = {}
        for placed in changes.files:
            path, former = placed.file.path, placed.former
            ids[path] = former.image_id if former else f"photo {next(self._ids)}"
            if former and former.path != path:
                left = replace(former, presence=Presence.MOVED, seen_at_ms=now)
                self.entries[former.path, former.image_id] = left
            self.entries[path, ids[path]] = FolderEntry(
                root=b"/photos",
                path=path,
                image_id=ids[path],
                revision=0,
                size_bytes=placed.file.size_bytes,
                mtime_ns=placed.file.mtime_ns,
                ctime_ns=placed.file.ctime_ns,
                inode=placed.file.inode,
                # A worker fills in what was not read.
                sha256=sha256(folder.contents[path]),
                seen_at_ms=now,
            )
        for entry in changes.gone if prune else ():
            deleted = replace(entry, presence=Presence.DELETED, seen_at_ms=now)
            self.entries[entry.path, entry.image_id] = deleted
        return ids


def listed(folder: Folder, shelf: Shelf, *, prune: bool = True) -> tuple[FolderChanges, dict[bytes, str]]:
    changes = shelf.compare(folder)
    return changes, shelf.record(changes, folder, prune=prune)


def changes_of(changes: FolderChanges) -> dict[bytes, FileChange]:
    return {placed.file.path: placed.change for placed in changes.files}


path, content = st.sampled_from(PATHS), st.sampled_from(CONTENTS)
operations = st.one_of(
    st.tuples(st.just(Folder.write), path, content),
    st.tuples(
        st.sampled_from([Folder.move, Folder.swap, Folder.copy, Folder.delete, Folder.restore_elsewhere]),
        path,
        path,
    ),
)
histories = st.lists(st.tuples(st.lists(operations, max_size=6), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(histories)
def test_only_content_that_no_listed_photo_has_is_inferred_and_every_photo_keeps_its_content(
    history: list[tuple[list[tuple[object, bytes, bytes]], bool]],
) -> None:
    folder, shelf = Folder(), Shelf()
    for step, prune in history:
        for operation, first, second in step:
            operation(folder, first, second)  # type: ignore[operator]
        known = list(Listing(shelf.entries.values()).newest.values())
        changes, ids = listed(folder, shelf, prune=prune)
        assert len(set(ids.values())) == len(ids) == len(folder.files)
        for placed in changes.files:
            if placed.change not in (FileChange.NEW, FileChange.CHANGED):
                assert placed.former is not None
                assert placed.former.sha256 == sha256(folder.contents[placed.file.path])
        now = Counter(map(sha256, folder.contents.values()))
        before = Counter(entry.sha256 for entry in known if entry.presence is not Presence.MOVED)
        kinds = Counter(changes_of(changes).values())
        assert kinds[FileChange.NEW] + kinds[FileChange.CHANGED] == (now - before).total()
        kept = {placed.former.image_id for placed in changes.files if placed.former}
        gone = {entry.image_id for entry in changes.gone}
        present = {entry.image_id for entry in known if entry.present}
        assert not kept & gone
        assert present <= kept | gone


@settings(max_examples=80, deadline=None)
@given(st.lists(operations, max_size=8), st.permutations(PATHS), st.booleans())
def test_any_permutation_of_a_folder_s_files_moves_photos_and_infers_nothing(
    before: list[tuple[object, bytes, bytes]], order: list[bytes], restored: bool
) -> None:
    folder, shelf = Folder(), Shelf()
    for operation, first, second in before:
        operation(folder, first, second)  # type: ignore[operator]
    _, first_ids = listed(folder, shelf)
    photos = Counter((first_ids[p], folder.contents[p]) for p in folder.files)
    for number, old in enumerate(PATHS):
        folder.move(old, b"/%d" % number)
    for number, new in enumerate(order):
        folder.move(b"/%d" % number, new)
    if restored:
        folder.restore_elsewhere()
    changes, ids = listed(folder, shelf)
    assert set(changes_of(changes).values()) <= {FileChange.UNCHANGED, FileChange.MOVED}
    assert Counter((ids[p], folder.contents[p]) for p in folder.files) == photos
    assert not changes.gone
    again, _ = listed(folder, shelf)
    assert set(changes_of(again).values()) <= {FileChange.UNCHANGED}


A, B, C = PATHS[:3]


@pytest.fixture
def folder() -> Folder:
    folder = Folder()
    folder.write(A, b"red")
    folder.write(B, b"rose")
    return folder


@pytest.fixture
def shelf(folder: Folder) -> Shelf:
    shelf = Shelf()
    listed(folder, shelf)
    return shelf


def test_two_files_that_swap_names_are_two_moves(folder: Folder, shelf: Shelf) -> None:
    folder.swap(A, B)
    changes, ids = listed(folder, shelf)
    assert changes_of(changes) == {A: FileChange.MOVED, B: FileChange.MOVED}
    assert ids == {A: "photo 2", B: "photo 1"}


def test_a_new_file_where_a_moved_one_was_is_a_photo_of_its_own(folder: Folder, shelf: Shelf) -> None:
    folder.move(A, C)
    folder.write(A, b"new")
    changes, ids = listed(folder, shelf)
    assert changes_of(changes) == {A: FileChange.NEW, B: FileChange.UNCHANGED, C: FileChange.MOVED}
    assert ids[C] == "photo 1"


def test_a_file_that_was_overwritten_by_another_one_is_gone(folder: Folder, shelf: Shelf) -> None:
    folder.move(B, A)
    changes, ids = listed(folder, shelf)
    assert ids == {A: "photo 2"}
    assert [entry.image_id for entry in changes.gone] == ["photo 1"]


def test_a_copy_is_a_photo_of_its_own(folder: Folder, shelf: Shelf) -> None:
    folder.copy(A, C)
    changes, _ = listed(folder, shelf)
    assert changes_of(changes)[C] is FileChange.NEW
    assert not changes.gone


def test_of_equal_files_each_keeps_its_photo_by_inode(folder: Folder, shelf: Shelf) -> None:
    folder.write(C, b"red")
    _, before = listed(folder, shelf)
    folder.move(A, b"/photos/x")
    folder.move(C, b"/photos/w")
    _, ids = listed(folder, shelf)
    assert (ids[b"/photos/x"], ids[b"/photos/w"]) == (before[A], before[C])


def test_a_deleted_photo_that_is_there_again_is_the_same_photo_at_any_path(
    folder: Folder, shelf: Shelf
) -> None:
    folder.delete(A)
    listed(folder, shelf)
    folder.write(C, b"red")
    changes, ids = listed(folder, shelf)
    assert changes_of(changes)[C] is FileChange.RETURNED
    assert ids[C] == "photo 1"


def test_content_that_was_replaced_at_the_same_size_and_time_is_noticed(folder: Folder, shelf: Shelf) -> None:
    folder.write(A, b"RED")
    changes, ids = listed(folder, shelf)
    assert changes_of(changes)[A] is FileChange.CHANGED
    assert ids[A] == "photo 1"


def test_a_place_of_which_only_some_entries_were_written_is_completed(folder: Folder, shelf: Shelf) -> None:
    folder.swap(A, B)
    changes = shelf.compare(folder)
    complete = Shelf()
    complete.entries = dict(shelf.entries)
    complete.record(changes, folder, prune=False)
    written = [key for key in complete.entries if complete.entries[key] != shelf.entries.get(key)]
    for key in written:
        interrupted = Shelf()
        interrupted.entries = {**shelf.entries, key: complete.entries[key]}
        interrupted.times = count(5)
        if complete.entries[key].presence is not Presence.MOVED:
            _, ids = listed(folder, interrupted)
            assert ids == {A: "photo 2", B: "photo 1"}


def test_files_that_look_as_before_are_not_read(folder: Folder, shelf: Shelf) -> None:
    found, listing = list(folder.files.values()), Listing(shelf.entries.values())
    assert files_to_read(found, listing, frozenset(), verify=False) == []
    assert len(files_to_read(found, listing, frozenset(), verify=True)) == 2


def test_a_file_in_the_place_of_a_pruned_one_is_not_read_at_each_comparison(
    folder: Folder, shelf: Shelf
) -> None:
    folder.move(B, A)
    listed(folder, shelf, prune=True)
    found, listing = list(folder.files.values()), Listing(shelf.entries.values())
    assert len(listing.at(A)) == 2
    assert files_to_read(found, listing, frozenset(), verify=False) == []


def test_a_new_file_is_read_only_if_a_missing_photo_has_its_size(folder: Folder, shelf: Shelf) -> None:
    folder.write(C, b"another size")
    found, listing = list(folder.files.values()), Listing(shelf.entries.values())
    assert files_to_read(found, listing, {A}, verify=False) == []
    folder.delete(A)
    folder.write(C, b"red")
    found = list(folder.files.values())
    assert [file.path for file in files_to_read(found, listing, {A}, verify=False)] == [C]
