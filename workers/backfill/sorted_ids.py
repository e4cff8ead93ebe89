"""Lists of image IDs of any length: checked as a whole, sorted on disk, and read piece by piece."""

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

from panopticon.chunks import chunks
from panopticon.messages import MAX_IMAGE_ID_BYTES
from workers.submission.id_list import no_ids, numbered_ids, there_twice

IDS_IN_MEMORY = 200_000
"""Maximum number of IDs sorted in memory; longer lists are merged from sorted pieces on disk."""

MAX_LINE_BYTES = 4 * MAX_IMAGE_ID_BYTES
"""Maximum length of a read, so that a file without line feeds cannot fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdList:
    """A file of IDs in the order of their UTF-8 bytes, one per line."""

    path: Path
    sha256: str
    """Digest of the file; lists with the same IDs in any order have the same digest."""
    total: int

    def after(self, cursor: int) -> Iterator[str]:
        """Yield all but the first `cursor` IDs."""
        with self.path.open("rb") as lines:
            for line in islice(lines, cursor, None):
                yield line.rstrip(b"\n").decode()


@contextmanager
def sorted_ids(source: BinaryIO, name: str, *, ids_in_memory: int = IDS_IN_MEMORY) -> Iterator[IdList]:
    """Give the sorted list of the IDs in `source`, one per line; its file is temporary.

    Raises: UsageError naming `name` and the line if it is blank, invalid or repeated, or if there is no ID.
    """
    with tempfile.TemporaryDirectory(prefix="panopticon-") as folder:
        lines = iter(lambda: source.readline(MAX_LINE_BYTES), b"")
        # An ID, a zero byte and the line number: this sorts like the IDs, which contain no byte that low.
        entries = (
            b"%s\0%015d\n" % (image_id.encode(), number) for number, image_id in numbered_ids(lines, name)
        )
        pieces: list[Path] = []
        for chunk in chunks(entries, ids_in_memory):
            piece = Path(folder, str(len(pieces)))
            with piece.open("wb") as file:
                file.writelines(sorted(chunk))
            pieces.append(piece)
        if not pieces:
            raise no_ids(name)
        path = Path(folder, "ids")
        total, sha256 = _merge(pieces, path, name)
        yield IdList(path=path, sha256=sha256, total=total)


def _merge(pieces: Sequence[Path], path: Path, name: str) -> tuple[int, str]:
    """Merge the sorted pieces into `path`, and return the number of IDs and the digest of the file."""
    total, digest, last, first = 0, hashlib.sha256(), b"", 0
    with ExitStack() as stack, path.open("wb") as merged:
        for entry in heapq.merge(*(stack.enter_context(piece.open("rb")) for piece in pieces)):
            image_id, _, number = entry.partition(b"\0")
            # Equal IDs follow each other in sorted order.
            if image_id == last:
                raise there_twice(image_id.decode(), name, int(number), first=first)
            line = image_id + b"\n"
            merged.write(line)
            digest.update(line)
            total, last, first = total + 1, image_id, int(number)
    for piece in pieces:
        piece.unlink()
    return total, digest.hexdigest()
