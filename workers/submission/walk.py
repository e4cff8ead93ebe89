"""Find the photos to index in files and folders of this machine. Names may be any bytes."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pathspec import GitIgnoreSpec

from panopticon.errors import UsageError
from panopticon.images.formats import HEAD_BYTES, begins_like_a_picture
from workers.runtime.terminal_text import shown
from workers.submission.folders import FoundFile
from workers.submission.ignore_rules import (
    CACHE_TAG,
    IGNORE_FILE,
    IgnoreRules,
    compile_patterns,
    is_tagged_as_cache,
    read_ignore_file,
)
from workers.submission.pairs import (
    AMBIGUOUS_RAW_SUFFIXES,
    HEIF_SUFFIXES,
    JPEG_SUFFIXES,
    RAW_SUFFIXES,
    second_files,
)
from workers.submission.regular_files import first_bytes
from workers.submission.skip_rules import SkipKind, kind_by_markers, kind_by_name

PICTURE_SUFFIXES = frozenset(
    suffix.encode()
    for suffix in {
        *JPEG_SUFFIXES,
        *HEIF_SUFFIXES,
        *(RAW_SUFFIXES - AMBIGUOUS_RAW_SUFFIXES),
        *[".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".dib", ".avif"],
    }
)
"""A file with such a name is always taken; under another name, its first bytes decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkRules:
    """The choices of a person about what a walk takes."""

    exclude: GitIgnoreSpec | None = None
    """Patterns that apply in every folder that is named, or None."""
    exclude_matched: set[int] = field(default_factory=set)
    """Numbers of the patterns of `exclude` that matched something. The walk fills it."""
    pairs: Literal["jpeg", "both"] = "jpeg"
    """`jpeg`: a pair counts once, `both`: each file of a pair is a photo of its own."""

    @classmethod
    def of(cls, exclude: Sequence[str], pairs: Literal["jpeg", "both"]) -> WalkRules:
        """Compile the patterns to exclude. Raises: UsageError naming the one that is wrong."""
        try:
            return cls(exclude=compile_patterns(exclude) if exclude else None, pairs=pairs)
        except UsageError as error:
            raise UsageError(f"exclude: {error}") from None


@dataclass(slots=True, kw_only=True)
class Skipped:
    """The files and folders that were skipped for one reason."""

    files: int = 0
    folders: int = 0
    """Number of folders, each skipped as a whole, so that the files in it are not counted."""
    example: bytes = b""
    """The first of them, under the name by which it was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The result of a walk over files and folders. The walk fills it."""

    files: list[FoundFile] = field(default_factory=list)
    """Files to index in the order of the walk, each real path once."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Number of files by suffix that are not pictures, neither by name nor by first bytes."""
    skipped_kinds: dict[SkipKind, Skipped] = field(default_factory=dict)
    """The files and folders that a rule skips."""
    unreadable: list[str] = field(default_factory=list)
    """Folders that could not be read and links that lead nowhere, each with the reason."""
    unreadable_paths: list[bytes] = field(default_factory=list)
    """Their real paths: whether files below them exist is not known."""
    without_photos: list[str] = field(default_factory=list)
    """Folders that were named and have no photo, each with the reason."""
    roots: dict[bytes, bytes] = field(default_factory=dict)
    """The name that the person used, by the real path of what was named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    path: bytes
    """The path under the name by which the folder was reached."""
    real: bytes
    """The path with all links resolved."""
    ignore: IgnoreRules | None
    named: bool = False
    """True for a folder that the person named."""


class Scanner:
    """Walks any number of paths into one `Scan`."""

    def __init__(self, rules: WalkRules | None = None) -> None:
        self.result = Scan()
        self._rules = rules or WalkRules()
        self._paths: set[bytes] = set()
        self._folders: set[bytes] = set()

    def add(self, path: bytes) -> None:
        """Walk a folder in sorted order, through links, each folder once; take a file whatever its name is.

        Raises: UsageError if there is nothing at the path, or it cannot be read.
        """
        if not path or b"\0" in path:
            raise UsageError(f"no such path: {shown(path)}")
        # What a person named has to be readable; what is found inside a folder is only reported.
        try:
            os.stat(path)
            if is_folder := os.path.isdir(path):
                os.scandir(path).close()
        except OSError as error:
            raise UsageError(_refusal(path, error)) from None
        real = os.path.realpath(path)
        if real != path:
            self.result.roots.setdefault(real, path)
        if is_folder:
            self._walk(path, real)
        else:
            self._take(real)

    def _walk(self, path: bytes, real: bytes) -> None:
        ignore = None
        if self._rules.exclude is not None:
            ignore = IgnoreRules(
                folder=path,
                patterns=self._rules.exclude,
                kind=SkipKind.EXCLUDED,
                above=None,
                matched=self._rules.exclude_matched,
            )
        waiting = [_Folder(path=path, real=real, ignore=ignore, named=True)]
        while waiting:
            folder = waiting.pop()
            # Real paths end every loop of links; some file systems give all folders one inode number.
            if folder.real not in self._folders:
                self._folders.add(folder.real)
                # Reversed, because the last one is walked next.
                waiting += reversed(self._enter(folder))
        below = os.path.join(real, b"")
        if not any(file.path.startswith(below) for file in reversed(self.result.files)):
            reason = "no photo in it" if os.listdir(path) else "an empty folder; is its disk mounted?"
            self.result.without_photos.append(f"{shown(path)}: {reason}")

    def _enter(self, folder: _Folder) -> list[_Folder]:
        """Take a folder's photos, and return the folders in it."""
        try:
            with os.scandir(folder.path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self._unreadable(folder.path, folder.real, _reason(folder.path, error))
            return []
        names = {entry.name for entry in entries}
        if not folder.named and (kind := _kind_by_content(folder, names)):
            self._skip(kind, folder.path, is_folder=True)
            # It is walked all the same if the person names it.
            self._folders.discard(folder.real)
            return []
        ignore = folder.ignore
        if IGNORE_FILE in names:
            try:
                ignore = read_ignore_file(folder.path, folder.ignore)
            except (OSError, UsageError) as error:
                # Without its rules, the folder might contain what a person does not want to be indexed.
                reason = error.strerror if isinstance(error, OSError) else error
                self._unreadable(folder.path, folder.real, f"its {os.fsdecode(IGNORE_FILE)}: {reason}")
                return []
        inner, files = self._sort(entries, folder, ignore)
        second = second_files(entry.name for entry in files) if self._rules.pairs == "jpeg" else frozenset()
        for entry in files:
            if entry.name in second:
                self._skip(SkipKind.PAIR, entry.path, is_folder=False)
            elif _is_picture(entry):
                self._take(_real_path(entry, folder))
            else:
                self.result.skipped[shown(_suffix(entry.name))] += 1
        return inner

    def _sort(
        self, entries: list[os.DirEntry[bytes]], folder: _Folder, ignore: IgnoreRules | None
    ) -> tuple[list[_Folder], list[os.DirEntry[bytes]]]:
        """Return the folders and the regular files among a folder's entries that no rule skips."""
        folders, files = [], []
        parent = os.path.basename(folder.real)
        for entry in entries:
            if entry.name == IGNORE_FILE:
                continue
            is_folder = _is_folder(entry)
            kind = kind_by_name(parent, entry.name, is_folder=is_folder)
            if kind is None and ignore is not None:
                kind = ignore.kind_of(entry.path, is_folder=is_folder)
            if kind is not None:
                self._skip(kind, entry.path, is_folder=is_folder)
            elif is_folder:
                folders.append(_Folder(path=entry.path, real=_real_path(entry, folder), ignore=ignore))
            elif self._is_regular(entry):
                files.append(entry)
        return folders, files

    def _is_regular(self, entry: os.DirEntry[bytes]) -> bool:
        """Return whether this is a regular file, and note it if not."""
        try:
            if entry.is_file():
                return True
            os.stat(entry.path)
        except OSError as error:
            # A file that was removed during the walk is not worth a line; a link may lead to a disk that is
            # not mounted.
            if entry.is_symlink() or error.errno != errno.ENOENT:
                self._unreadable(entry.path, os.path.realpath(entry.path), _reason(entry.path, error))
            return False
        self._skip(SkipKind.SPECIAL, entry.path, is_folder=False)
        return False

    def _take(self, real: bytes) -> None:
        # Several names and links may lead to one file.
        if real in self._paths:
            return
        self._paths.add(real)
        try:
            status = os.stat(real)
            found = FoundFile.of(real, status)
        except OSError:
            # Taken all the same, so that it fails with a reason and is not missed silently.
            found = FoundFile(path=real, size_bytes=0, mtime_ns=0)
        self.result.files.append(found)

    def _skip(self, kind: SkipKind, path: bytes, *, is_folder: bool) -> None:
        skipped = self.result.skipped_kinds.setdefault(kind, Skipped(example=path))
        skipped.files += not is_folder
        skipped.folders += is_folder

    def _unreadable(self, path: bytes, real: bytes, reason: str) -> None:
        self.result.unreadable.append(f"{shown(path)}: {reason}")
        self.result.unreadable_paths.append(real)


def name_used(real: bytes, roots: dict[bytes, bytes]) -> bytes:
    """Return a real path as the person would write it: below the name that they gave, if it is below one."""
    above, below = real, b""
    while above not in roots:
        parent, name = os.path.split(above)
        if parent == above:
            return real
        above, below = parent, os.path.join(name, below) if below else name
    return os.path.join(roots[above], below) if below else roots[above]


def _refusal(path: bytes, error: OSError) -> str:
    """Return the line about a path that a person named and that cannot be used."""
    if error.errno == errno.ENOENT and not os.path.islink(path):
        return f"no such path: {shown(path)}"
    return f"cannot read {shown(path)}: {_reason(path, error)}"


def _reason(path: bytes, error: OSError) -> str:
    if error.errno == errno.ENOENT and os.path.islink(path):
        return f"a link to {shown(os.readlink(path))}, which does not exist"
    if error.errno in (errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN):
        return f"{error.strerror}; is the disk mounted?"
    return error.strerror or str(error)


def _kind_by_content(folder: _Folder, names: set[bytes]) -> SkipKind | None:
    if CACHE_TAG in names and is_tagged_as_cache(folder.path):
        return SkipKind.CACHE
    return kind_by_markers(os.path.basename(folder.real), names)


def _real_path(entry: os.DirEntry[bytes], folder: _Folder) -> bytes:
    return os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(folder.real, entry.name)


def _suffix(name: bytes) -> bytes:
    return os.path.splitext(name)[1].lower()


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_picture(entry: os.DirEntry[bytes]) -> bool:
    """Return whether the name of a regular file, or else its first bytes, are those of a picture."""
    if _suffix(entry.name) in PICTURE_SUFFIXES:
        return True
    try:
        return begins_like_a_picture(first_bytes(entry.path, HEAD_BYTES))
    except OSError:
        return False
