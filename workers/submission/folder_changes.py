"""Comparing the files of folders with the folder list: which photo each file is, and which photos are gone.

Only content decides. Sizes, times and numbers of files show which files have to be read, and of several
equal ones, which is the same photo as before.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from panopticon.results.folder_entries import FolderEntry, Presence
from workers.submission.folders import FoundFile


class FileChange(StrEnum):
    """The result of the comparison for one file."""

    NEW = "new"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    MOVED = "moved"
    RETURNED = "returned"
    """The photo was marked as deleted, and there is a file with its content again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFile:
    """One file, and the photo that it is."""

    file: FoundFile
    change: FileChange
    former: FolderEntry | None
    """The present entry of the photo; None if the photo is new."""
    sha256: str
    """The SHA-256 of the content; empty if it is not known yet."""
    readable: bool = True
    """False if the file had to be read, and could not be."""

    @property
    def altered_silently(self) -> bool:
        """Return whether the content changed while size, times and inode stayed, as on a failing disk."""
        return self.change is FileChange.CHANGED and (
            self.former is not None and not looks_changed(self.file, self.former)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderChanges:
    """The result of the comparison of folders with their lists."""

    files: list[PlacedFile] = field(default_factory=list)
    """Every file, in the order of the walk."""
    gone: list[FolderEntry] = field(default_factory=list)
    """Entries of photos whose files are not there any more."""
    superseded: list[FolderEntry] = field(default_factory=list)
    """Older entries of photos that have a later one at another path, from a run that was interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderContents:
    """Everything that is known of the folders besides their files' sizes, times and numbers."""

    sha256: Mapping[bytes, str]
    """The SHA-256 of each file that was read, by path."""
    unreadable: Collection[bytes] = frozenset()
    """Paths of files that had to be read, and could not be."""
    absent: Collection[bytes] = frozenset()
    """Paths of the list at which there is no file any more."""


class Listing:
    """The entries of the folder list, by image and by path."""

    def __init__(self, entries: Iterable[FolderEntry]) -> None:
        self.newest: dict[str, FolderEntry] = {}
        self.superseded: list[FolderEntry] = []
        for entry in entries:
            other = self.newest.get(entry.image_id)
            if other is not None and _age(other) >= _age(entry):
                self.superseded.append(entry)
                continue
            self.newest[entry.image_id] = entry
            if other is not None:
                self.superseded.append(other)
        self._at: dict[bytes, list[FolderEntry]] = defaultdict(list)
        for entry in self.newest.values():
            if entry.presence is not Presence.MOVED:
                self._at[entry.path].append(entry)
        for at_path in self._at.values():
            at_path.sort(key=lambda entry: (entry.present, entry.seen_at_ms, entry.image_id), reverse=True)

    def at(self, path: bytes) -> Sequence[FolderEntry]:
        """Return the newest entries of photos at a path: present ones first, then the latest."""
        return self._at.get(path, ())


def files_to_read(
    found: Sequence[FoundFile], listing: Listing, absent: Collection[bytes], *, verify: bool
) -> list[FoundFile]:
    """Return the files whose content decides which photo they are.

    These are files that look changed, and new ones that have the size of a photo that is not at its path any
    more. With `verify`, all files that are listed are read.
    """
    suspicious: set[bytes] = set()
    new: list[FoundFile] = []
    for file in found:
        entries = listing.at(file.path)
        if not entries:
            new.append(file)
        elif verify or _unclear(entries) or looks_changed(file, entries[0]):
            suspicious.add(file.path)
    sizes = {
        entry.size_bytes
        for entry in listing.newest.values()
        if not entry.present or entry.path in absent or entry.path in suspicious
    }
    read = suspicious | {file.path for file in new if file.size_bytes in sizes}
    return [file for file in found if file.path in read]


def looks_changed(file: FoundFile, entry: FolderEntry) -> bool:
    """Return whether size, a time or the inode of a file differ from its entry, as far as that knows them."""
    return (
        (file.size_bytes, file.mtime_ns) != (entry.size_bytes, entry.mtime_ns)
        or (entry.ctime_ns != 0 and file.ctime_ns != entry.ctime_ns)
        or (entry.inode != 0 and file.inode != entry.inode)
    )


def compare(found: Sequence[FoundFile], listing: Listing, contents: FolderContents) -> FolderChanges:
    """Decide for each file which photo it is, and which photos are gone.

    A photo stays where its content stays. Other files get the photos whose content they have and whose own
    place has other content now, or none. What is left at a listed path is that photo with changed content.
    """
    placed: dict[bytes, PlacedFile] = {}
    for file in found:
        entry = next((e for e in listing.at(file.path) if _same_content(file, e, contents)), None)
        if entry is not None:
            placed[file.path] = _placed(file, entry, contents)
    claimed = {each.former.image_id for each in placed.values() if each.former}
    paths = {file.path for file in found}
    left = [file for file in found if file.path not in placed]
    sources = [
        entry
        for entry in listing.newest.values()
        if entry.image_id not in claimed and _left_its_place(entry, paths, contents.absent)
    ]
    for file, entry in _moves(left, sources, contents.sha256):
        placed[file.path] = _placed(file, entry, contents)
        claimed.add(entry.image_id)
    for file in left:
        if file.path not in placed:
            entry = next((e for e in listing.at(file.path) if e.image_id not in claimed), None)
            change = FileChange.CHANGED if entry else FileChange.NEW
            placed[file.path] = _placed(file, entry, contents, change=change)
            claimed |= {entry.image_id} if entry else set()
    return FolderChanges(
        files=[placed[file.path] for file in found],
        gone=[entry for entry in sources if entry.present and entry.image_id not in claimed],
        superseded=[entry for entry in listing.superseded if entry.present],
    )


def _unclear(entries: Sequence[FolderEntry]) -> bool:
    """Return whether a path has no present photo, or several since a run was interrupted."""
    return sum(entry.present for entry in entries) != 1


def _age(entry: FolderEntry) -> tuple[bool, int]:
    # The place that a photo left is recorded after its new place, and perhaps by a later run.
    return entry.presence is not Presence.MOVED, entry.seen_at_ms


def _same_content(file: FoundFile, entry: FolderEntry, contents: FolderContents) -> bool:
    sha256 = contents.sha256.get(file.path)
    if sha256 is None:
        # Nothing suggested a change, or the file cannot be read: then it is not known to differ.
        return entry.present
    if entry.sha256:
        return sha256 == entry.sha256
    return (file.size_bytes, file.mtime_ns) == (entry.size_bytes, entry.mtime_ns)


def _left_its_place(entry: FolderEntry, found: Collection[bytes], absent: Collection[bytes]) -> bool:
    """Return whether a photo is not at its path: the file is absent, or has other content."""
    if entry.presence is Presence.MOVED:
        return False
    return not entry.present or entry.path in found or entry.path in absent


def _moves(
    files: Sequence[FoundFile], sources: Sequence[FolderEntry], sha256: Mapping[bytes, str]
) -> Iterator[tuple[FoundFile, FolderEntry]]:
    """Pair files with photos of the same content, each at most once."""
    targets: dict[str, list[FoundFile]] = defaultdict(list)
    for file in files:
        if file.path in sha256:
            targets[sha256[file.path]].append(file)
    photos: dict[str, list[FolderEntry]] = defaultdict(list)
    for entry in sorted(sources, key=lambda entry: (not entry.present, entry.path, entry.image_id)):
        photos[entry.sha256].append(entry)
    for content, same in targets.items():
        yield from _pairs(same, photos.get(content, []))


def _pairs(
    files: Sequence[FoundFile], entries: Sequence[FolderEntry]
) -> Iterator[tuple[FoundFile, FolderEntry]]:
    """Pair files and photos of equal content: by inode, then by name, then in order."""
    traits: tuple[Callable[[FoundFile | FolderEntry], Hashable], ...] = (
        lambda one: one.inode or None,
        lambda one: os.path.basename(one.path),
        lambda _: True,
    )
    for trait in traits:
        waiting: dict[Hashable, deque[FolderEntry]] = defaultdict(deque)
        for entry in entries:
            waiting[trait(entry)].append(entry)
        files_left: list[FoundFile] = []
        for file in files:
            key = trait(file)
            # Some file systems number no files.
            if key is not None and waiting[key]:
                yield file, waiting[key].popleft()
            else:
                files_left.append(file)
        remaining = {entry.image_id for queue in waiting.values() for entry in queue}
        files, entries = files_left, [entry for entry in entries if entry.image_id in remaining]


def _placed(
    file: FoundFile,
    entry: FolderEntry | None,
    contents: FolderContents,
    *,
    change: FileChange | None = None,
) -> PlacedFile:
    if change is None:
        change = _change_of(file, entry)
    keeps = entry is not None and change is not FileChange.CHANGED
    known = entry.sha256 if entry is not None and keeps else ""
    return PlacedFile(
        file=file,
        change=change,
        former=entry,
        sha256=contents.sha256.get(file.path, known),
        readable=file.path not in contents.unreadable,
    )


def _change_of(file: FoundFile, entry: FolderEntry | None) -> FileChange:
    """Return the change of a file that has the content of its entry."""
    if entry is None:
        return FileChange.NEW
    if not entry.present:
        return FileChange.RETURNED
    return FileChange.UNCHANGED if entry.path == file.path else FileChange.MOVED
