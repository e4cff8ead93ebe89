"""The file of an image's original: whether it is on this machine, and where it was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import FolderList, Store
from panopticon.results.folder_entries import FolderEntry
from workers.registry.image_record import ImageRecord
from workers.submission.folder_history import history_of, is_missing
from workers.submission.folder_roots import innermost
from workers.submission.listed_folders import path_in


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalFile:
    """The file that an image's row names."""

    missing: bool
    """True if this machine has no such file."""
    moves: Sequence[FolderEntry]
    """The entries to which the photo was moved, each with its former path, the latest move first."""


def original_file(record: ImageRecord, folders: FolderList) -> OriginalFile | None:
    """Return the file of an image; None if its original is not a file. Raises: Unavailable."""
    path = path_in(record.row.image_uri) if record.row else None
    if path is None:
        return None
    history = history_of(folders, record.image_id, path)
    return OriginalFile(missing=is_missing(path), moves=[entry for entry in history if entry.former_path])


def missing_files(image_ids: Sequence[str], store: Store) -> list[str]:
    """Return the IDs of images, not deleted, whose files are gone from folders that were indexed here.

    Originals elsewhere may be on other machines only. Raises: Unavailable.
    """
    roots = set(store.folders.roots())
    missing = []
    for chunk in chunks(image_ids, CHUNK):
        rows = store.catalogue.get(chunk)
        for image_id, row in rows.items():
            path = None if row.deleted else path_in(row.image_uri)
            if path is not None and innermost(path, roots) is not None and is_missing(path):
                missing.append(image_id)
    return missing
