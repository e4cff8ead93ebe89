"""The folders to which paths belong in the folder list."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from panopticon.results.folder_entries import FolderEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRoots:
    """The folders that were indexed before, and those that are named now, as real paths.

    A path belongs to the innermost root that holds it. No root is added inside another one, so that the root
    of a path never changes, in whatever order folders are indexed.
    """

    every: Collection[bytes]
    """All roots, new ones too."""
    new: Sequence[bytes]
    """Roots that the folder list does not have yet."""
    concerned: Sequence[bytes]
    """Roots that hold a named path, or are below one."""
    folders: Collection[bytes]
    """The named paths that are folders."""
    files: Collection[bytes]
    """The other named paths."""

    def root_of(self, path: bytes) -> bytes:
        """Return the root of a file. A file behind a link to elsewhere belongs to the first named root."""
        root = innermost(path, self.every)
        return self.concerned[0] if root is None else root

    def in_scope(self, entry: FolderEntry) -> bool:
        """Return whether a walk over what was named would have found the file of an entry."""
        if entry.path in self.files or entry.root in self.folders:
            return True
        return innermost(entry.path, self.folders) is not None


def folder_roots(known: Sequence[bytes], named: Sequence[bytes]) -> FolderRoots:
    """Return the roots for the paths that a person named, which may be relative or links.

    A folder inside a known root belongs to that root. A file outside of all roots belongs to its folder.
    """
    real = {os.path.realpath(path) for path in named}
    folders = {path for path in real if os.path.isdir(path)}
    wanted = folders | {os.path.dirname(path) for path in real - folders}
    every, new = set(known), []
    # A path sorts after the folders that hold it, so that none of them becomes a root inside another one.
    for root in sorted(wanted):
        if innermost(root, every) is None:
            every.add(root)
            new.append(root)
    holding = {holder for path in wanted if (holder := innermost(path, every)) is not None}
    below = {root for root in known if innermost(root, folders) is not None}
    return FolderRoots(
        every=every, new=new, concerned=sorted(holding | below), folders=folders, files=real - folders
    )


def innermost(path: bytes, roots: Collection[bytes]) -> bytes | None:
    """Return the longest of the roots that is the path itself or a folder that holds it; None without one."""
    while path not in roots:
        if path == os.path.dirname(path):
            return None
        path = os.path.dirname(path)
    return path
