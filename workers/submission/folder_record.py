"""Writing the result of a comparison of folders: the folder list, moves, deletions and outputs used again.

A run that is interrupted between any two steps is completed by the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import Store, Uploads
from panopticon.messages import Lane
from panopticon.results.folder_entries import FolderEntry, Presence
from panopticon.results.outputs import CatalogueImage, FailureState, Output
from storage.originals.files import uri_of
from workers.registry.records import all_versions
from workers.submission.listed_folders import (
    ListedFile,
    ListedFolders,
    content_of,
    is_deleted,
    read_sha256,
)
from workers.submission.submit import Entry, publish

READABLE_LATER = frozenset({"not_found", "permission_denied", "io_error"})
"""Reasons of failures that say nothing about the content of a file."""


def record(folders: ListedFolders, store: Store, *, now_ms: int) -> None:
    """Write every entry and move. It is written before the images are published.

    An entry names the revision that has its content, so that a revision that was not published is noticed.
    Raises: Unavailable.
    """
    store.folders.add_roots(folders.new_roots)
    files = [file for file in folders.files if not file.recorded]
    store.folders.put([_stamped(file, now_ms) for file in files])
    # A place that was left is written after the new place, so that a photo always has one.
    left = [file.placed.former for file in files if file.placed.former and _was_left(file)]
    superseded = [replace(entry, presence=Presence.MOVED) for entry in (*left, *folders.superseded)]
    deleted = [replace(entry, presence=Presence.DELETED) for entry in folders.deleted]
    store.folders.put([_later(entry, now_ms) for entry in (*superseded, *deleted)])
    moved = [
        replace(
            file.row,
            image_uri=file.placed.file.uri,
            located_at_ms=max(now_ms, file.row.located_at_ms + 1),
        )
        for file in folders.files
        if file.row and file.is_elsewhere
    ]
    for chunk in chunks(moved, CHUNK):
        store.catalogue.put(chunk)


def use_outputs_again(folders: ListedFolders, store: Store) -> set[str]:
    """Store outputs of the same bytes under new revisions; return the IDs of images that have any.

    A photo that was deleted and is there again, or one whose change was undone, needs no model then. Only
    outputs with the digest of the registered version count. Raises: Unavailable.
    """
    wanted = {
        file.entry.image_id: file.entry
        for file in folders.files
        if file.row and file.row.revision < file.entry.revision and file.entry.sha256
    }
    again: set[str] = set()
    for version, (_, registered) in all_versions(store.registry).items() if wanted else ():
        for chunk in chunks(wanted, CHUNK):
            copies: dict[str, Output] = {}
            stored = store.outputs.get(chunk, version)
            for output in sorted(stored.values(), key=lambda output: output.key.revision):
                entry = wanted[output.key.image_id]
                if (output.source_sha256, output.digest) == (entry.sha256, registered.digest):
                    copies[entry.image_id] = replace(output, key=version.key(entry.image_id, entry.revision))
            store.outputs.put(list(copies.values()))
            again |= copies.keys()
    return again


def replay_readable(folders: ListedFolders, store: Store) -> int:
    """Mark failures as replayed whose files could not be read before and can be now; return how many.

    Raises: Unavailable.
    """
    files = {file.entry.image_id: file.entry for file in folders.files}
    replayed = 0
    for chunk in chunks(files, CHUNK):
        failures = [
            failure
            for failure in store.outputs.failures_of(chunk)
            if failure.state is FailureState.DEAD
            and failure.reason in READABLE_LATER
            and failure.key.revision == files[failure.key.image_id].revision
        ]
        readable = read_sha256({files[failure.key.image_id].path for failure in failures})
        again = [failure for failure in failures if files[failure.key.image_id].path in readable]
        store.outputs.put_failures([replace(failure, state=FailureState.REPLAYED) for failure in again])
        replayed += len(again)
    return replayed


def prune_entries(gone: Sequence[FolderEntry], store: Store, uploads: Uploads, *, now_ms: int) -> int:
    """Mark the images of these entries as deleted; return how many. Their outputs stay.

    Raises: Unavailable; then the same call may be repeated.
    """
    pruned = 0
    for chunk in chunks(gone, CHUNK):
        rows = store.catalogue.get([entry.image_id for entry in chunk])
        entries = [
            _deletion(entry, rows.get(entry.image_id), now_ms)
            for entry in chunk
            if not is_deleted(entry, rows.get(entry.image_id))
        ]
        publish(entries, uploads, Lane.LIVE, now_ms=now_ms)
        # The next run may begin before the indexer has applied the message.
        store.catalogue.put(
            [
                CatalogueImage(
                    image_id=entry.image_id,
                    revision=entry.revision,
                    image_uri=entry.image_uri or "",
                    event="deleted",
                    occurred_at_ms=now_ms,
                )
                for entry in entries
            ]
        )
        # Last, so that a run that is interrupted before this finds the photos gone again.
        store.folders.put([_later(replace(entry, presence=Presence.DELETED), now_ms) for entry in chunk])
        pruned += len(entries)
    return pruned


def complete(folders: ListedFolders, store: Store, *, now_ms: int) -> None:
    """Fill in the SHA-256 of new photos: from their outputs, and of those that failed, from their files.

    So a file is read once by a worker, and not a second time. Raises: Unavailable.
    """
    unknown = [file for file in folders.files if not file.entry.sha256]
    known = content_of(store, [(file.entry.image_id, file.entry.revision) for file in unknown])
    failed = [file for file in unknown if (file.entry.image_id, file.entry.revision) not in known]
    read = read_sha256(file.entry.path for file in failed)
    entries = []
    for file in unknown:
        image = file.entry.image_id, file.entry.revision
        sha256 = known.get(image) or read.get(file.entry.path)
        if sha256:
            stamped = _stamped(file, now_ms)
            # The entry of this run may have been written in the same millisecond.
            entries.append(replace(stamped, sha256=sha256, seen_at_ms=stamped.seen_at_ms + 1))
    store.folders.put(entries)


def _deletion(entry: FolderEntry, row: CatalogueImage | None, now_ms: int) -> Entry:
    """Return the deletion of a photo, at a revision that no upload of it exceeds.

    After a run that was interrupted, an upload that the catalogue does not have may still be in a queue.
    """
    revision = entry.revision if row is None else max(entry.revision, row.revision)
    uri = row.image_uri if row else uri_of(entry.path)
    return Entry(entry.image_id, uri or None, revision, "deleted", now_ms)


def _was_left(file: ListedFile) -> bool:
    former = file.placed.former
    return former is not None and former.path != file.entry.path


def _stamped(file: ListedFile, now_ms: int) -> FolderEntry:
    """Return the entry of a file with its time, which is later than that of the former one."""
    entry = _later(file.entry, now_ms)
    return replace(entry, moved_at_ms=now_ms) if _was_left(file) else entry


def _later(entry: FolderEntry, now_ms: int) -> FolderEntry:
    # A clock that was set back must not hide a change.
    return replace(entry, seen_at_ms=max(now_ms, entry.seen_at_ms + 1))
