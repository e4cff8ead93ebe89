"""Counts of images that need no scan: those in the list of IDs, and those that search has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from panopticon.errors import PanopticonError
from panopticon.interfaces import SearchIndex, Store
from panopticon.results.outputs import VersionName

LIST_EVERY_MS = 60_000
"""Age after which the list of IDs of a cluster is counted again, which takes a second or more."""
TOLERANCE = 1000
"""One of so many images may lack a document and be neither counted in a queue nor lost: counts are read one
after the other, and some are seconds late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCounts:
    """Counts at one moment."""

    listed: int
    """Images in the list of IDs, deleted ones included."""
    listed_at_ms: int
    counted_at_ms: int
    """The time of all other counts."""
    documents: int | None = None
    """Documents in search, tombstones included; None if search cannot be asked."""
    in_search: Mapping[VersionName, int]
    """Images that queries find with a result of the version; empty if search cannot be asked."""
    unlisted: int = 0
    """Documents beyond the list of IDs: at least as many images were stored by a release without the list."""
    problem: str = ""
    """The reason why search cannot be asked."""

    def lacking(self, *, under_way: int) -> int:
        """Return how many images have no document and no message; 0 if so few that nothing may be wrong.

        `under_way`: the messages in all queues, read after the list was and before search was.
        """
        if self.documents is None:
            return 0
        return lacking(listed=self.listed, documents=self.documents, under_way=under_way)


def lacking(*, listed: int, documents: int, under_way: int) -> int:
    """Return how many listed images have neither a document nor a message, beyond the tolerance; else 0."""
    missing = listed - documents - under_way
    return missing if missing > listed // TOLERANCE else 0


class ImageCounter:
    """Counts images again and again. It counts the list of IDs before queues are read, and search afterwards,
    so that an image on its way is never missed in both."""

    def __init__(
        self, store: Store, open_search: Callable[[], SearchIndex], *, now_ms: Callable[[], int]
    ) -> None:
        self._images = store.images
        self._open_search = open_search
        self._now_ms = now_ms
        # A store that counts its ledger at each reading can count its list as well.
        self._every_ms = 0 if store.counts else LIST_EVERY_MS
        self._listed = self._listed_at_ms = self._unlisted = 0
        self._compared_at_ms: int | None = None

    def count_list(self) -> None:
        """Count the list of IDs, unless that was done lately. Raises: Unavailable."""
        if not self._listed_at_ms or self._now_ms() - self._listed_at_ms >= self._every_ms:
            self._listed, self._listed_at_ms = self._images.count(), self._now_ms()

    def count_search(self, versions: Iterable[VersionName]) -> ImageCounts:
        """Count the documents, and return all counts. Search that cannot be asked is not an error.

        Raises: Unavailable if the list has to be counted again, and the store is down.
        """
        documents, in_search, problem = None, {}, ""
        try:
            search = self._open_search()
            documents = search.documents()
            in_search = {version: search.count([version.part]) for version in versions}
        except PanopticonError as error:
            documents, in_search, problem = None, {}, str(error)
        counted_at_ms = self._now_ms()
        if documents is not None:
            self._compare(documents)
        return ImageCounts(
            listed=self._listed,
            listed_at_ms=self._listed_at_ms,
            counted_at_ms=counted_at_ms,
            documents=documents,
            in_search=in_search,
            unlisted=self._unlisted,
            problem=problem,
        )

    def _compare(self, documents: int) -> None:
        """Note how many documents are beyond the list, counting it again if it may have grown meanwhile."""
        if documents <= self._listed:
            self._unlisted = 0
            return
        now_ms = self._now_ms()
        if self._compared_at_ms is None or now_ms - self._compared_at_ms >= self._every_ms:
            self._compared_at_ms = now_ms
            # An image is listed before it has a document, so a complete list now has every document.
            self._listed, self._listed_at_ms = self._images.count(), self._now_ms()
            self._unlisted = max(documents - self._listed, 0)
