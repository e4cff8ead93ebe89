"""Turn paths, folders, list files and standard input into messages. One mistake, and nothing is sent."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, NamedTuple

from panopticon.chunks import CHUNK, chunks
from panopticon.errors import UsageError
from panopticon.exif.capture_time import capture_time
from panopticon.interfaces import Store, Uploads
from panopticon.messages import EPOCH, ImageMessage, Lane, encode, from_ms, to_ms
from panopticon.results.outputs import CatalogueImage
from workers.runtime.terminal_text import shown
from workers.submission.folders import FoundFile
from workers.submission.listed_folders import FolderReader, ListedFile, ListedFolders
from workers.submission.lists.reader import STDIN_NAME, Listed, read_file, read_stdin
from workers.submission.regular_files import open_regular
from workers.submission.skip_rules import SkipKind
from workers.submission.walk import Scan, Scanner, Skipped, WalkRules, name_used

STDIN = "-"
LIST_SUFFIXES = (".csv", ".tsv")
MAX_URI_CHARS = 4096
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The first millisecond of the year 1 and the last of the year 9999, all that a timestamp can hold."""
UNSET_MS = range(-86_399_999, 1)
"""Times that files have which were written without one: 0, as seen from any time zone."""


class Entry(NamedTuple):
    """One message to be sent. It is small because a million are held until the last line has been read."""

    image_id: str
    image_uri: str | None
    revision: int
    event: Literal["uploaded", "deleted"] = "uploaded"
    occurred_at_ms: int = 0
    """When the image was uploaded or deleted; 0 means the time at which the message is sent."""
    message_id: str | None = None
    path: bytes = b""
    """The file that tells when the picture was taken; empty unless it has to be asked."""
    in_catalogue: bool = False
    """True if the time is that of the catalogue, where 0 means unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The images that a person named, checked as a whole."""

    entries: Sequence[Entry]
    skipped: Counter[str] = field(default_factory=Counter)
    """Number of files in folders, by suffix, that are not pictures."""
    unreadable: Sequence[str] = ()
    """Files and folders that could not be read, each with the reason."""
    skipped_kinds: Mapping[SkipKind, Skipped] = field(default_factory=dict)
    """The files and folders that a rule skips."""
    without_photos: Sequence[str] = ()
    """Folders that were named and have no photo, each with the reason."""
    roots: dict[bytes, bytes] = field(default_factory=dict)
    """The name that the person used, by the real path of what was named."""
    folders: ListedFolders = field(default_factory=ListedFolders)
    """The files of `entries`, compared with the folder list."""

    @property
    def image_ids(self) -> list[str]:
        """Return each ID once, in order."""
        return list(dict.fromkeys(entry.image_id for entry in self.entries))


def read_sources(
    sources: Sequence[str],
    store: Store,
    *,
    stdin: Iterable[bytes],
    rules: WalkRules | None = None,
    verify: bool = False,
) -> Submission:
    """Read every source: a path, a folder, `FILE.csv`, or `-` for the lines of `stdin`.

    With `verify`, the content of every file is compared with what is known of it.

    Raises: UsageError naming the source and line of the first mistake. Nothing is published here.
    """
    paths, listing = Paths(rules), Listing()
    for source in sources:
        _read_source(source, paths, listing, stdin)
    return _submission(paths, listing, FolderReader(store, verify=verify))


def scan_paths(
    paths: Sequence[str], store: Store, *, rules: WalkRules | None = None, verify: bool = False
) -> Submission:
    """Read files and folders only. Raises: UsageError for a path that does not exist or cannot be read."""
    named = Paths(rules)
    for path in paths:
        named.add(os.fsencode(path))
    return _submission(named, Listing(), FolderReader(store, verify=verify))


def publish(
    entries: Iterable[Entry],
    uploads: Uploads,
    lane: Lane,
    *,
    now_ms: int,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Send every entry, chunk by chunk; `progress` hears how many are safe. Raises: Unavailable."""
    done = 0
    for chunk in chunks(entries, CHUNK):
        uploads.publish([message_of(entry, now_ms=now_ms) for entry in chunk], lane)
        done += len(chunk)
        progress(done)


def message_of(entry: Entry, *, now_ms: int) -> ImageMessage:
    """Return the message that announces an entry, which occurred at `now_ms` unless the entry knows when.

    The file of an entry is read for it, as late as possible: most files of a folder are never sent.
    """
    at_ms = _taken_at_ms(entry.path, now_ms) if entry.path else 0
    return ImageMessage(
        image_id=entry.image_id,
        image_uri=entry.image_uri,
        revision=entry.revision,
        event=entry.event,
        occurred_at=from_ms(at_ms or entry.occurred_at_ms or (0 if entry.in_catalogue else now_ms)),
        message_id=entry.message_id or uuid.uuid4().hex,
    )


def body_of(entry: Entry, *, now_ms: int) -> bytes:
    """Return `message_of` an entry as it is sent."""
    return encode(message_of(entry, now_ms=now_ms))


def entry_of_row(row: CatalogueImage) -> Entry:
    """Return the entry that sends an image of the catalogue again, as the catalogue knows it."""
    return Entry(
        image_id=row.image_id,
        image_uri=row.image_uri or None,
        revision=row.revision,
        occurred_at_ms=row.occurred_at_ms,
        in_catalogue=True,
    )


def as_catalogued(entry: Entry, row: CatalogueImage) -> Entry:
    """Return the entry of a file with the time under which the catalogue has this revision of it."""
    if not entry.path or entry.revision != row.revision:
        return entry
    return entry._replace(occurred_at_ms=row.occurred_at_ms, path=b"", in_catalogue=True)


class Listing:
    """The entries of all lists. No two of them may name different URIs for one image and revision."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, str], tuple[Entry, str, int]] = {}

    @property
    def entries(self) -> Iterator[Entry]:
        """Yield each entry once, in order."""
        return (entry for entry, _, _ in self._seen.values())

    def add(self, message: ImageMessage, source: str, line: int) -> None:
        """Add one message; a repeated one counts once. Raises: UsageError naming both lines of a conflict."""
        entry = _entry_of_message(message)
        known = self._seen.setdefault((entry.image_id, entry.revision, entry.event), (entry, source, line))
        if known[0].image_uri != entry.image_uri:
            raise UsageError(
                f"{source}, line {line}: image {entry.image_id!r} has another URI than in {known[1]}, "
                f"line {known[2]}; give each picture its own ID, and a changed one a higher revision"
            )


class Paths:
    """Every path that a person named, and the files that were found at them."""

    def __init__(self, rules: WalkRules | None = None) -> None:
        self.named: list[bytes] = []
        self._scanner = Scanner(rules)

    @property
    def scan(self) -> Scan:
        """Return the result of the walk."""
        return self._scanner.result

    def add(self, path: bytes) -> None:
        """Walk a path. Raises: UsageError if it does not exist or cannot be read."""
        self._scanner.add(path)
        self.named.append(path)


def _submission(paths: Paths, listing: Listing, reader: FolderReader) -> Submission:
    folders = reader.read(list(_nameable(paths.scan)), paths.named) if paths.named else ListedFolders()
    entries = [*map(_entry_of_file, folders.files), *listing.entries]
    scan = paths.scan
    return Submission(
        entries=entries,
        skipped=scan.skipped,
        unreadable=scan.unreadable,
        skipped_kinds=scan.skipped_kinds,
        without_photos=scan.without_photos,
        roots=scan.roots,
        folders=folders,
    )


def _read_source(source: str, paths: Paths, listing: Listing, stdin: Iterable[bytes]) -> None:
    if source == STDIN:
        _add_listed(read_stdin(stdin), STDIN_NAME, paths, listing)
    # A folder may have such a name too; for a file that does not exist, the scanner raises the error.
    elif source.lower().endswith(LIST_SUFFIXES) and os.path.exists(source) and not os.path.isdir(source):
        name = shown(os.fsencode(source))
        try:
            with open(source, "rb") as lines:
                _add_listed(read_file(lines, name), name, paths, listing)
        except OSError as error:
            raise UsageError(f"cannot read {name}: {error.strerror}") from None
    else:
        paths.add(os.fsencode(source))


def _add_listed(items: Iterable[Listed], source: str, paths: Paths, listing: Listing) -> None:
    for listed in items:
        if isinstance(listed.item, ImageMessage):
            listing.add(listed.item, source, listed.line)
            continue
        try:
            paths.add(listed.item)
        except UsageError as error:
            raise UsageError(f"{source}, line {listed.line}: {error}") from None


def _nameable(scan: Scan) -> Iterator[FoundFile]:
    """Yield the files whose URI fits into a message; add the others to the unreadable ones."""
    for file in scan.files:
        if len(file.uri) <= MAX_URI_CHARS:
            yield file
        else:
            name = shown(name_used(file.path, scan.roots))
            scan.unreadable.append(f"{name}: its URI is longer than {MAX_URI_CHARS} characters")


def _entry_of_file(listed: ListedFile) -> Entry:
    file, mtime_ms = listed.placed.file, listed.placed.file.mtime_ns // 1_000_000
    return Entry(
        image_id=listed.entry.image_id,
        image_uri=file.uri,
        revision=listed.entry.revision,
        # For a time that no timestamp can hold, the time of sending is used.
        occurred_at_ms=mtime_ms if FIRST_MS <= mtime_ms <= LAST_MS and mtime_ms not in UNSET_MS else 0,
        path=file.path,
    )


def _taken_at_ms(path: bytes, now_ms: int) -> int:
    # Whether the file can be read is found out by the worker.
    with suppress(OSError), open_regular(path) as file:
        return to_ms(capture_time(file, now=EPOCH + timedelta(milliseconds=now_ms)))
    return 0


def _entry_of_message(message: ImageMessage) -> Entry:
    return Entry(
        image_id=message.image_id,
        image_uri=message.image_uri,
        revision=message.revision,
        event=message.event,
        occurred_at_ms=to_ms(message.occurred_at),
        message_id=message.message_id,
    )
