"""Looking photos up in the folder list: by path, and along the paths at which a photo was before."""

from __future__ import annotations

import os
from collections.abc import Sequence

from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import FolderList
from panopticon.results.folder_entries import FolderEntry
from workers.submission.folder_roots import innermost
from workers.submission.folders import image_id_of


def images_at(folders: FolderList, paths: Sequence[bytes]) -> dict[bytes, str]:
    """Return the IDs of the photos that are or were at real paths: of several, the one that is there now."""
    known = set(folders.roots())
    places = [(root, path) for path in paths if (root := innermost(path, known)) is not None]
    entries = [entry for chunk in chunks(places, CHUNK) for entry in folders.get(chunk)]
    entries.sort(key=lambda entry: (entry.present, entry.seen_at_ms))
    return {entry.path: entry.image_id for entry in entries}


def ids_of(folders: FolderList, paths: Sequence[bytes]) -> list[str]:
    """Return the ID of the photo at each real path: the listed one, or else the one that the path gives."""
    listed = images_at(folders, paths)
    return [listed.get(path) or image_id_of(path) for path in paths]


def entries_below(folders: FolderList, paths: Sequence[bytes]) -> list[FolderEntry]:
    """Return the entries, in any state, of files at or below real paths."""
    known, wanted = folders.roots(), set(paths)
    found: dict[tuple[bytes, bytes, str], FolderEntry] = {}
    for root in known:
        if innermost(root, wanted) is not None:
            found |= {entry.key: entry for entry in folders.below(root, b"/")}
    for path in paths:
        holding = innermost(path, set(known))
        if holding is not None:
            below = [*folders.get([(holding, path)]), *folders.below(holding, path)]
            found |= {entry.key: entry for entry in below}
    return list(found.values())


def history_of(folders: FolderList, image_id: str, path: bytes) -> list[FolderEntry]:
    """Return the entries of one photo: that at `path`, then those of its former paths, the latest first."""
    known, found = set(folders.roots()), dict[bytes, FolderEntry]()
    while path and path not in found:
        root = innermost(path, known)
        entries = folders.get([(root, path)]) if root is not None else []
        entry = next((entry for entry in entries if entry.image_id == image_id), None)
        if entry is None:
            break
        found[path] = entry
        path = entry.former_path
    return list(found.values())


def is_missing(path: bytes) -> bool:
    """Return whether there is no file at a path; a file that only cannot be examined is not missing."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
