"""Lists of image IDs of any length: read and checked as a whole, sorted on disk, and drawn bit by bit."""

from __future__ import annotations

import hashlib
import heapq
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from panopticon.errors import UsageError
from panopticon.messages import MAX_IMAGE_ID_BYTES, MessageInvalid, decode_image_id
from workers.submission import chunks

IDS_IN_MEMORY = 200_000
"""Sorted at once; longer lists are merged from sorted pieces."""

MAX_LINE_BYTES = 4 * MAX_IMAGE_ID_BYTES
"""Nothing longer is read at once, lest a file without line feeds fill the memory."""

SHOWN_CHARS = 40

BOM = b"\xef\xbb\xbf"
BLANKS = b" \t\r\n"


@dataclass(slots=True)
class Lines:
    """What was skipped so far of the lines of one list."""

    blank: int = 0
    ids: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IdList:
    """IDs in the order of their UTF-8 bytes, each once, in a file of their own."""

    path: Path
    sha256: str
    """Of that file: of two lists with the same IDs in any order it is the same."""
    total: int
    blank: int
    """Lines with nothing on them."""
    repeats: int
    """Lines whose ID another line has, too."""

    def after(self, cursor: int) -> Iterator[str]:
        """All but the first `cursor` IDs."""
        with self.path.open("rb") as lines:
            for line in islice(lines, cursor, None):
                yield line.rstrip(b"\n").decode()


@contextmanager
def sorted_ids(source: BinaryIO, name: str, *, ids_in_memory: int = IDS_IN_MEMORY) -> Iterator[IdList]:
    """The list of which each line of `source` is one ID; it lies in a temporary folder until the end.

    Raises: UsageError naming `name` and the first line that is no ID.
    """
    lines = Lines()
    with tempfile.TemporaryDirectory(prefix="panopticon-") as folder:
        pieces = [
            _sorted_piece(Path(folder, str(number)), ids)
            for number, ids in enumerate(chunks(_ids_in(source, name, lines), ids_in_memory))
        ]
        if not pieces:
            raise UsageError(f"no image ID in {name}, so nothing was submitted")
        path = Path(folder, "ids")
        total, sha256 = _merge(pieces, path)
        yield IdList(path=path, sha256=sha256, total=total, blank=lines.blank, repeats=lines.ids - total)


def _ids_in(source: BinaryIO, name: str, lines: Lines) -> Iterator[bytes]:
    for number, line in enumerate(iter(lambda: source.readline(MAX_LINE_BYTES), b""), start=1):
        bare = (line.removeprefix(BOM) if number == 1 else line).strip(BLANKS)
        if not bare:
            lines.blank += 1
            continue
        _check(bare, name, number)
        lines.ids += 1
        yield bare


def _check(line: bytes, name: str, number: int) -> None:
    try:
        decode_image_id(line)
    except MessageInvalid as error:
        shown = ascii(line.decode(errors="replace")[:SHOWN_CHARS])
        raise UsageError(
            f"{name}, line {number}: {shown} is no image ID ({error}); nothing was submitted"
        ) from None


def _sorted_piece(path: Path, ids: Sequence[bytes]) -> Path:
    with path.open("wb") as piece:
        piece.writelines(line + b"\n" for line in sorted(set(ids)))
    return path


def _merge(pieces: Sequence[Path], path: Path) -> tuple[int, str]:
    """How many different IDs there are, and the digest of all."""
    total, digest, last = 0, hashlib.sha256(), b""
    with ExitStack() as stack, path.open("wb") as merged:
        sources = [stack.enter_context(piece.open("rb")) for piece in pieces]
        # No ID holds a byte below that of the line feed, so with it they sort as without.
        for line in heapq.merge(*sources):
            if line != last:
                merged.write(line)
                digest.update(line)
                total, last = total + 1, line
    for piece in pieces:
        piece.unlink()
    return total, digest.hexdigest()
