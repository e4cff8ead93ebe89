"""A reproducible sample of the images in search: an unchanged index gives the same IDs every time."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from panopticon.interfaces import SearchIndex

PAGE = 1000
MAX_PAGES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample of the images that have one version's part in search."""

    image_ids: tuple[str, ...]
    """Sorted."""
    drawn_from: int
    """Number of IDs that the sample was drawn from."""
    complete: bool
    """True if those were all IDs in search; otherwise they were the first in the order of their bytes."""


def draw_sample(
    search: SearchIndex,
    part: str,
    size: int,
    *,
    max_pages: int = MAX_PAGES,
    progress: Callable[[int], None] = lambda _: None,
) -> Sample:
    """Return the `size` IDs with the smallest SHA-256, which are as good as random. Raises: Unavailable.

    progress: called with the number of IDs of each page that was read.
    """
    seen = 0
    smallest: list[tuple[bytes, str]] = []
    pages = _pages(search, part)
    for page in islice(pages, max_pages):
        seen += len(page)
        hashed = [(hashlib.sha256(image_id.encode()).digest(), image_id) for image_id in page]
        smallest = heapq.nsmallest(size, [*smallest, *hashed])
        progress(len(page))
    complete = next(pages, None) is None
    return Sample(
        image_ids=tuple(sorted(image_id for _, image_id in smallest)), drawn_from=seen, complete=complete
    )


def _pages(search: SearchIndex, part: str) -> Iterator[list[str]]:
    after = ""
    while page := search.image_ids(after=after, limit=PAGE, part=part):
        yield page
        after = page[-1]
