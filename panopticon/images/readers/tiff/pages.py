"""Choice of the page that is the picture: many TIFF files also hold smaller copies of it, and masks."""

from __future__ import annotations

from collections.abc import Iterator

from panopticon.images.readers.ifd import directories, tags
from panopticon.images.readers.ifd.directories import Directory

_MAX_PAGES = 256
_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType (TIFF 6.0, tag 254)."""
_OLD_REDUCED = 2
"""Value of SubfileType (tag 255), which NewSubfileType replaces."""


def picture_page(encoded: bytes) -> Directory:
    """Return the first page in full resolution; if all are reduced copies, the largest.

    A page that does not call itself a reduced copy counts as full, whatever its size is: pages of a document
    may differ in size.

    Raises: DirectoryError.
    """
    first = directories.directory_at(encoded)
    best = first
    for page in _pages(encoded, first):
        if _is_full(page):
            return page
        if not _is_mask(page) and (_is_mask(best) or _pixels(page) > _pixels(best)):
            best = page
    return best


def _pages(encoded: bytes, first: Directory) -> Iterator[Directory]:
    """Yield the pages of the chain, each followed by the pages that it contains (tag 330, SubIFDs)."""
    page = first
    seen = {first.at}
    while True:
        yield page
        for at in page.values(tags.SUB_DIRECTORIES):
            if at not in seen and len(seen) < _MAX_PAGES:
                seen.add(at)
                yield directories.directory_at(encoded, at)
        if not page.next_at or page.next_at in seen or len(seen) >= _MAX_PAGES:
            return
        seen.add(page.next_at)
        page = directories.directory_at(encoded, page.next_at)


def _is_full(page: Directory) -> bool:
    reduced = page.first(tags.NEW_SUBFILE_TYPE) & _REDUCED or page.first(tags.SUBFILE_TYPE) == _OLD_REDUCED
    return not reduced and not _is_mask(page)


def _is_mask(page: Directory) -> bool:
    return bool(page.first(tags.NEW_SUBFILE_TYPE) & _MASK) or (
        page.first(tags.PHOTOMETRIC) == tags.Photometric.MASK
    )


def _pixels(page: Directory) -> int:
    return page.first(tags.WIDTH) * page.first(tags.HEIGHT)
