"""Reading the list of all image IDs page by page, and adding what a former release did not list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import ImageList, SearchIndex, Store


def listed(images: ImageList, *, after: str = "", page: int = CHUNK) -> Iterator[list[str]]:
    """Yield all IDs after `after`, in pages, with one page in memory. Raises: Unavailable."""
    return _pages(lambda last: images.image_ids(after=last, limit=page), after)


def searched(search: SearchIndex) -> Iterator[list[str]]:
    """Yield the IDs of all documents, tombstones included, in pages. Raises: Unavailable."""
    return _pages(lambda last: search.image_ids(after=last, limit=CHUNK, tombstones=True), "")


def add_known(image_ids: Iterable[str], store: Store) -> tuple[int, int]:
    """Add IDs to the list of all images; return how many the catalogue has, and how many it does not have.

    Those that it does not have are not added. Repeating is harmless. Raises: Unavailable.
    """
    known = unknown = 0
    for chunk in chunks(image_ids, CHUNK):
        rows = store.catalogue.get(chunk)
        store.images.add(list(rows))
        known += len(rows)
        unknown += len(set(chunk)) - len(rows)
    return known, unknown


def _pages(read: Callable[[str], list[str]], after: str) -> Iterator[list[str]]:
    while page := read(after):
        yield page
        after = page[-1]
