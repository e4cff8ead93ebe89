"""Photos of folders that were moved, changed or are gone: options, confirmation and report."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import click

from panopticon.errors import UsageError
from panopticon.results.folder_entries import FolderEntry
from storage.originals.files import uri_of
from workers.cli.formatting import counted
from workers.cli.session import Session
from workers.runtime.terminal_text import shown
from workers.submission.folder_changes import FileChange
from workers.submission.listed_folders import ListedFile, ListedFolders

MAX_SHOWN = 5

Command = TypeVar("Command", bound=Callable[..., Any])


def folder_options(command: Command) -> Command:
    """Add `--prune`, `--yes` and `--verify` to a command that walks folders."""
    options = (
        click.option(
            "--prune/--no-prune",
            default=None,
            help="Mark photos as deleted whose files are gone [default: the setting `prune`].",
        ),
        click.option("--yes", is_flag=True, help="Do not ask before many photos are marked as deleted."),
        click.option(
            "--verify", is_flag=True, help="Read every file again, and compare its content with the list."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def confirmed_deletions(
    session: Session, folders: ListedFolders, *, prune: bool | None, yes: bool
) -> Sequence[FolderEntry] | None:
    """Return the entries of photos to mark as deleted; None if pruning is off.

    A person is asked if a folder looks as if it were not there, or too many of its photos are gone.
    Raises: UsageError if that is so and nobody can be asked; click.Abort if the answer is no.
    """
    if not (session.settings.prune if prune is None else prune):
        return None
    doubts = list(_doubts(folders, session.settings.prune_limit))
    if doubts and not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"{'; '.join(doubts)}: nothing was deleted; if these photos were deleted on purpose, "
                "pass --yes as well as --prune"
            )
        for doubt in doubts:
            session.err.print(doubt, style="yellow", markup=False)
        click.confirm(f"Mark {counted(len(folders.gone), 'photo')} as deleted?", abort=True, err=True)
    return folders.gone


def folder_lines(folders: ListedFolders, pruned: int | None) -> list[str]:
    """Return the lines of the report; `pruned` is None if pruning was off."""
    moved = [_move(file) for file in _moved(folders)]
    altered = [file for file in folders.files if file.placed.altered_silently]
    unreadable = [file for file in folders.files if not file.placed.readable]
    lines = [
        _line(moved, "photo", "moved or renamed"),
        _line(map(_name_of, folders.changed(FileChange.RETURNED)), "photo", "there again"),
        _line(map(_name_of, altered), "photo", "with other content, though size and times are the same"),
        _line(map(_name_of, unreadable), "photo", "not readable now"),
        _line(map(_name, folders.left_out), "photo", "not found by the walk, though not known to be gone"),
    ]
    if folders.gone:
        lines.append(_line(map(_name, folders.gone), "photo", _hint(folders, pruned)))
    return [line for line in lines if line]


def _hint(folders: ListedFolders, pruned: int | None) -> str:
    if pruned is not None:
        return "marked as deleted"
    # Where nothing is left, most likely a disk is not mounted, and --prune would be the wrong advice.
    lost = [root for root in {entry.root for entry in folders.gone} if _is_lost(folders, root)]
    return "gone; mount the disk and repeat" if lost else "gone; --prune marks them as deleted"


def _is_lost(folders: ListedFolders, root: bytes) -> bool:
    """Return whether a folder has no photo any more, or is on another file system than its photos were."""
    return root in folders.unmounted or not folders.found.get(root)


def folders_json(folders: ListedFolders, pruned: int | None) -> dict[str, Any]:
    """Return the value of the key `folders` of `--json`; its keys are stable."""
    return {
        "moved": [
            {
                "image_id": file.entry.image_id,
                "image_uri": uri_of(file.entry.path),
                "former_uri": uri_of(file.placed.former.path),
            }
            for file in _moved(folders)
            if file.placed.former
        ],
        "changed": [file.entry.image_id for file in folders.changed(FileChange.CHANGED)],
        "altered": [file.entry.image_id for file in folders.files if file.placed.altered_silently],
        "returned": [file.entry.image_id for file in folders.changed(FileChange.RETURNED)],
        "left_out": [entry.image_id for entry in folders.left_out],
        "gone": [{"image_id": entry.image_id, "image_uri": uri_of(entry.path)} for entry in folders.gone],
        "pruned": pruned,
    }


def _doubts(folders: ListedFolders, prune_limit: float) -> Iterator[str]:
    """Yield a line for each root whose missing photos may not have been deleted by a person."""
    for root, gone in sorted(Counter(entry.root for entry in folders.gone).items()):
        listed = folders.listed[root]
        if root in folders.unmounted:
            yield f"{shown(root)}: {counted(gone, 'photo')} gone, from another file system than is there now"
        elif not folders.found.get(root):
            yield f"{shown(root)}: no photo is found there any more, of {listed:,}"
        elif gone > prune_limit * listed:
            of_listed = f"{gone:,} of {counted(listed, 'photo')} gone"
            yield f"{shown(root)}: {of_listed}, above prune_limit {prune_limit:g}"


def _moved(folders: ListedFolders) -> list[ListedFile]:
    return folders.changed(FileChange.MOVED)


def _move(file: ListedFile) -> str:
    """Return both names, as whole paths if the photo was moved from one indexed folder to another."""
    former = file.placed.former
    if former and former.root != file.entry.root:
        return f"{shown(former.path)} → {shown(file.entry.path)}"
    return f"{_name(former)} → {_name(file.entry)}"


def _name(entry: FolderEntry | None) -> str:
    return shown(os.path.relpath(entry.path, entry.root)) if entry else ""


def _name_of(file: ListedFile) -> str:
    return _name(file.entry)


def _line(names: Iterable[str], noun: str, what: str) -> str:
    """Return a line with the number of photos and the first names; empty without any."""
    every = list(names)
    if not every:
        return ""
    more = f" and {len(every) - MAX_SHOWN:,} more" if len(every) > MAX_SHOWN else ""
    return f"{counted(len(every), noun)} {what}: {', '.join(every[:MAX_SHOWN])}{more}"
