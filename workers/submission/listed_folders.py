"""Reading what the comparison of files with the folder list needs, and recording nothing yet."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

from panopticon.chunks import CHUNK, chunks
from panopticon.errors import Rejected
from panopticon.interfaces import Store
from panopticon.messages import MAX_REVISION
from panopticon.results.folder_entries import FolderEntry, Presence
from panopticon.results.outputs import CatalogueImage
from storage.originals.files import path_of
from workers.registry.records import all_versions
from workers.submission.folder_changes import (
    FileChange,
    FolderChanges,
    FolderContents,
    Listing,
    PlacedFile,
    compare,
    files_to_read,
    looks_changed,
)
from workers.submission.folder_roots import FolderRoots, folder_roots
from workers.submission.folders import FoundFile

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """One file, the photo that it is, and the entry and row that record it."""

    placed: PlacedFile
    entry: FolderEntry
    """The entry of the folder list as it should be now."""
    row: CatalogueImage | None
    """The photo's row in the catalogue; None if it is not known there."""
    recorded: bool
    """True if the folder list has this entry already."""

    @property
    def is_elsewhere(self) -> bool:
        """Return whether the catalogue knows this revision of the photo at another path."""
        row = self.row
        return (
            row is not None
            and not row.deleted
            and row.revision == self.entry.revision
            and path_in(row.image_uri) != self.entry.path
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFolders:
    """Files of folders, compared with the folder list. Nothing of it is written yet."""

    files: Sequence[ListedFile] = ()
    gone: Sequence[FolderEntry] = ()
    """Entries of photos below the named folders whose files are not there any more."""
    deleted: Sequence[FolderEntry] = ()
    """Entries of photos that are gone and marked as deleted already."""
    left_out: Sequence[FolderEntry] = ()
    """Entries of photos that the walk did not find, though their files may be there: in folders that are
    excluded or cannot be read, or behind a link that was removed."""
    superseded: Sequence[FolderEntry] = ()
    """Entries of photos that are at another path now, but for those of `files`."""
    new_roots: Sequence[bytes] = ()
    listed: Mapping[bytes, int] = field(default_factory=dict)
    """Number of present photos by root, before this comparison."""
    found: Mapping[bytes, int] = field(default_factory=dict)
    """Number of files by root."""
    unmounted: Collection[bytes] = frozenset()
    """Roots with photos that are gone from another file system than the one that is there now."""

    def changed(self, change: FileChange) -> list[ListedFile]:
        """Return the files with this change."""
        return [file for file in self.files if file.placed.change is change]


class FolderReader:
    """Compares files with the folder list of one store. Nothing is written."""

    def __init__(self, store: Store, *, verify: bool = False) -> None:
        """With `verify`, the content of every file is compared."""
        self._store = store
        self._verify = verify

    def read(self, found: Sequence[FoundFile], named: Sequence[bytes]) -> ListedFolders:
        """Return the comparison of the files found at the paths that a person named.

        Raises: Unavailable.
        """
        roots = folder_roots(self._store.folders.roots(), named)
        entries = list(self._entries(found, roots))
        entries += self._of_older_releases(found, Listing(entries), roots)
        stored = set(entries)
        listing = Listing(self._with_known_content(entries))
        absent = _absent(found, listing, roots)
        to_read = files_to_read(found, listing, absent, verify=self._verify)
        sha256 = read_sha256(file.path for file in to_read)
        unreadable = {file.path for file in to_read} - sha256.keys()
        changes = compare(found, listing, FolderContents(sha256=sha256, unreadable=unreadable, absent=absent))
        accounted = absent | {file.path for file in found}
        left_out = [
            entry
            for entry in listing.newest.values()
            if entry.present and entry.path not in accounted and roots.in_scope(entry)
        ]
        return replace(self._listed(changes, listing, roots, stored), left_out=left_out)

    def _entries(self, found: Sequence[FoundFile], roots: FolderRoots) -> Iterator[FolderEntry]:
        """Yield the entries of all roots that concern these files.

        Files that were named themselves, and look as they are listed, need no others.
        """
        if not roots.folders:
            entries = self._store.folders.get([(roots.root_of(file.path), file.path) for file in found])
            present = {entry.path: entry for entry in entries if entry.present}
            if all(file.path in present and not looks_changed(file, present[file.path]) for file in found):
                yield from entries
                return
        for root in roots.concerned:
            yield from self._store.folders.below(root, b"/")

    def _of_older_releases(
        self, found: Sequence[FoundFile], listing: Listing, roots: FolderRoots
    ) -> Iterator[FolderEntry]:
        """Yield entries of files that only the catalogue knows, made from their rows.

        A release without a folder list indexed them, or a run was interrupted, or they were erased.
        """
        files = [file for file in found if not listing.at(file.path)]
        number = 0
        while files:
            candidates = {file.path: minted_id(file.path, number) for file in files}
            rows = self._rows(candidates.values())
            taken = []
            for file in files:
                image_id = candidates[file.path]
                row = rows.get(image_id)
                if image_id in listing.newest:
                    taken.append(file)
                elif row is not None and (row.deleted or path_in(row.image_uri) == file.path):
                    yield _entry_of_row(row, file.path, roots.root_of(file.path))
                elif row is not None:
                    taken.append(file)
            files, number = taken, number + 1

    def _with_known_content(self, entries: Sequence[FolderEntry]) -> list[FolderEntry]:
        """Fill in the SHA-256 of entries from outputs of their revisions, where a worker has computed it."""
        wanted = [entry for entry in entries if not entry.sha256 and entry.presence is not Presence.MOVED]
        known = content_of(self._store, [(entry.image_id, entry.revision) for entry in wanted])
        return [
            entry if entry.sha256 else replace(entry, sha256=known.get((entry.image_id, entry.revision), ""))
            for entry in entries
        ]

    def _listed(
        self, changes: FolderChanges, listing: Listing, roots: FolderRoots, stored: Collection[FolderEntry]
    ) -> ListedFolders:
        ids, file_systems = self._ids(changes.files, listing), _FileSystems()
        missing = [entry for entry in changes.gone if roots.in_scope(entry)]
        rows = self._rows([*ids.values(), *(entry.image_id for entry in missing)])
        files = []
        for placed in changes.files:
            image_id = ids[placed.file.path]
            entry = _entry_of(placed, image_id, rows.get(image_id), roots, file_systems)
            recorded = entry in stored and entry.seen_at_ms > 0
            files.append(ListedFile(placed=placed, entry=entry, row=rows.get(image_id), recorded=recorded))
        gone: list[FolderEntry] = []
        deleted: list[FolderEntry] = []
        moved_away: list[FolderEntry] = []
        for entry in missing:
            row = rows.get(entry.image_id)
            if is_deleted(entry, row):
                deleted.append(entry)
            else:
                (moved_away if _is_elsewhere(entry, row) else gone).append(entry)
        return ListedFolders(
            files=files,
            gone=gone,
            deleted=deleted,
            superseded=[*changes.superseded, *moved_away],
            new_roots=roots.new,
            listed=Counter(entry.root for entry in listing.newest.values() if entry.present),
            found=Counter(file.entry.root for file in files),
            unmounted={entry.root for entry in gone if file_systems.is_another(entry)},
        )

    def _ids(self, files: Sequence[PlacedFile], listing: Listing) -> dict[bytes, str]:
        """Return the image ID of each file: that of its photo, or one that no photo has."""
        ids = {each.file.path: each.former.image_id for each in files if each.former}
        taken = {*listing.newest, *ids.values()}
        new, number = [each.file.path for each in files if not each.former], 0
        while new:
            candidates = {path: minted_id(path, number) for path in new}
            taken |= self._rows(candidates.values()).keys()
            free = {path for path, image_id in candidates.items() if image_id not in taken}
            ids |= {path: candidates[path] for path in free}
            new, number = [path for path in new if path not in free], number + 1
        return ids

    def _rows(self, image_ids: Iterable[str]) -> dict[str, CatalogueImage]:
        return {
            image_id: row
            for chunk in chunks(image_ids, CHUNK)
            for image_id, row in self._store.catalogue.get(chunk).items()
        }


class _FileSystems:
    """IDs of file systems that stay the same when they are mounted again, as far as the system has such."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}

    def id_of(self, path: bytes, device: int) -> int:
        """Return the ID of the file system of a path, whose device number is given; 0 if it is unknown."""
        if device not in self._ids:
            identity = 0
            with suppress(OSError):
                identity = os.statvfs(path).f_fsid
            self._ids[device] = identity or device
        return self._ids[device]

    def is_another(self, entry: FolderEntry) -> bool:
        """Return whether the file of an entry was on another file system than its folder is on now."""
        folder = os.path.dirname(entry.path)
        while entry.device:
            with suppress(OSError):
                return self.id_of(folder, os.stat(folder).st_dev) != entry.device
            if folder == os.path.dirname(folder):
                break
            folder = os.path.dirname(folder)
        return False


def minted_id(path: bytes, number: int) -> str:
    """Return the ID of a new photo at a path, or a further one if other photos have those before it."""
    mark = b"\0%d" % number if number else b""
    return FoundFile(path=path + mark, size_bytes=0, mtime_ns=0).image_id


def path_in(uri: str) -> bytes | None:
    """Return the path of a `file://` URI; None for any other."""
    with suppress(Rejected):
        return path_of(uri)
    return None


def read_sha256(paths: Iterable[bytes]) -> dict[bytes, str]:
    """Return the SHA-256 of each file that can be read, in hexadecimal. Two threads read at a time."""
    wanted = list(paths)
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = zip(wanted, pool.map(_sha256_of, wanted), strict=True)
        return {path: sha256 for path, sha256 in found if sha256}


def content_of(store: Store, images: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return the SHA-256 of the bytes of images at given revisions, where an output of them is stored."""
    known: dict[tuple[str, int], str] = {}
    versions = list(all_versions(store.registry)) if images else []
    for version in versions:
        for chunk in chunks([image for image in images if image not in known], CHUNK):
            wanted = set(chunk)
            for output in store.outputs.get([image_id for image_id, _ in chunk], version).values():
                image = output.key.image_id, output.key.revision
                if image in wanted:
                    known[image] = output.source_sha256
    return known


def _sha256_of(path: bytes) -> str:
    """Return the SHA-256 of a regular file; empty if it cannot be read."""
    digest = hashlib.sha256()
    try:
        # A pipe without a writer would block an ordinary open for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return ""
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def _absent(found: Sequence[FoundFile], listing: Listing, roots: FolderRoots) -> set[bytes]:
    """Return the paths of photos that were not found, at which there is no file any more."""
    paths, numbered = {file.path for file in found}, defaultdict(set)
    for file in found:
        numbered[file.inode].add(_folded(file.path))
    new_sizes = {file.size_bytes for file in found if not listing.at(file.path)}
    return {
        entry.path
        for entry in listing.newest.values()
        if entry.present
        and entry.path not in paths
        # Outside of what was named, only photos matter that may have been moved to one of the files.
        and (roots.in_scope(entry) or entry.size_bytes in new_sizes)
        and _is_absent(entry.path, paths, numbered)
    }


def _is_absent(path: bytes, found: Collection[bytes], numbered: Mapping[int, Collection[str]]) -> bool:
    """Return whether there is no file at a path any more.

    If the file only cannot be examined, this is not known, and the answer is no.
    """
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    # A folder that was moved and replaced by a link still leads to the file, at another real path. A file
    # system that ignores case finds a renamed file under its former name too.
    return (
        stat.S_ISDIR(status.st_mode)
        or os.path.realpath(path) in found
        or _folded(path) in numbered.get(status.st_ino, ())
    )


def _folded(path: bytes) -> str:
    return unicodedata.normalize("NFC", os.fsdecode(path)).casefold()


def is_deleted(entry: FolderEntry, row: CatalogueImage | None) -> bool:
    """Return whether a row marks the photo of an entry as deleted, and no upload of it is on its way."""
    return row is not None and row.deleted and row.revision >= entry.revision


def _is_elsewhere(entry: FolderEntry, row: CatalogueImage | None) -> bool:
    """Return whether the catalogue knows the photo at another path, such as that of another root."""
    if row is None or row.deleted:
        return False
    path = path_in(row.image_uri)
    return path is not None and path != entry.path and os.path.lexists(path)


def _entry_of_row(row: CatalogueImage, path: bytes, root: bytes) -> FolderEntry:
    """Return the entry that the row of a photo without one stands for."""
    state = dict(parse_qsl(urlsplit(row.image_uri).fragment))
    size, mtime = state.get("size", ""), state.get("mtime_ns", "")
    return FolderEntry(
        root=root,
        path=path,
        image_id=row.image_id,
        revision=row.revision,
        presence=Presence.DELETED if row.deleted else Presence.PRESENT,
        size_bytes=int(size) if size.isdecimal() else -1,
        mtime_ns=int(mtime) if mtime.lstrip("-").isdecimal() else -1,
        seen_at_ms=0,
    )


def _entry_of(
    placed: PlacedFile,
    image_id: str,
    row: CatalogueImage | None,
    roots: FolderRoots,
    file_systems: _FileSystems,
) -> FolderEntry:
    """Return the entry of a file; its time is that of the former one until the entry is written."""
    file, former = placed.file, placed.former
    revision = _revision_of(placed, row)
    if former is not None and not placed.readable:
        # The former sizes and times stay, so that the next run reads the file again.
        return replace(former, revision=revision, presence=Presence.PRESENT)
    entry = FolderEntry(
        root=roots.root_of(file.path),
        path=file.path,
        image_id=image_id,
        revision=revision,
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        ctime_ns=file.ctime_ns,
        inode=file.inode,
        device=file_systems.id_of(file.path, file.device),
        sha256=placed.sha256,
        seen_at_ms=former.seen_at_ms if former else 0,
    )
    if former is None:
        return entry
    if former.path != file.path:
        return replace(entry, former_path=former.path)
    return replace(entry, root=former.root, former_path=former.former_path, moved_at_ms=former.moved_at_ms)


def _revision_of(placed: PlacedFile, row: CatalogueImage | None) -> int:
    """Return the revision of the image that has the content of a file: only other content begins one.

    An image that was deleted comes back with the next revision, even if its file is the same.
    """
    former = placed.former
    known = [former.revision] if former else []
    known += [row.revision] if row else []
    if not known:
        return 0
    # A run that was interrupted may have begun the revision in the list already.
    begun = former is not None and row is not None and former.present and former.revision > row.revision
    deleted = row is not None and row.deleted and not begun
    changed = placed.change is FileChange.CHANGED
    return min(max(known) + (changed or deleted), MAX_REVISION)
