"""The range of paths below a folder, in the order of their bytes."""

from __future__ import annotations


def paths_below(folder: bytes) -> tuple[bytes, bytes]:
    """Return the first path that may be below `folder`, and the first one that is after all of them."""
    first = folder.rstrip(b"/") + b"/"
    # The byte after "/" ends the range.
    return first, first[:-1] + bytes([ord("/") + 1])
