"""A new index filled beside the one that answers."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.errors import UsageError
from panopticon.interfaces import Applied
from panopticon.results.documents import Change
from storage.search.opensearch.bulk import Bulk
from storage.search.opensearch.indexes import Indexes


class OpenSearchRebuild:
    """A `SearchRebuild`. Every other client writes to both indexes, from the moment there are two.

    So a change misses the new index only if it was sent before that; what it says was in the store even
    earlier, and whoever fills the new index reads the store later.
    """

    def __init__(self, indexes: Indexes, bulk: Bulk) -> None:
        self._indexes = indexes
        self._bulk = bulk

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """To the new index only."""
        with self._indexes.noticing():
            return self._bulk.apply(changes, self._building) if changes else []

    def finish(self, *, fewer: bool) -> str:
        """Let the new index answer. Returns the name of the former one, which is kept.

        Raises: UsageError, unless `fewer`, if the new one holds fewer documents.
        """
        with self._indexes.noticing():
            (building,) = self._building()
            held, made = self._indexes.documents(self._indexes.alias), self._indexes.documents(building)
            self._check(held, made, fewer=fewer)
            return self._indexes.switch()

    def _check(self, held: int, made: int, *, fewer: bool) -> None:
        if made < held and not fewer:
            raise UsageError(
                f"the new index holds {made:,} documents, and the present one, which goes on answering,"
                f" {held:,}; give the missing IDs to the same command, or say --fewer if they shall go"
            )

    def _building(self) -> list[str]:
        """Raises: UsageError if somebody else finished the rebuild."""
        if self._indexes.state().building is None:
            raise UsageError("the rebuild was finished by somebody else; its index answers already")
        return [self._indexes.building_alias]
