"""The rebuild of the search index, in a new index next to the live one."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.errors import UsageError
from panopticon.interfaces import Applied
from panopticon.results.documents import Change
from storage.search.opensearch.bulk import BulkWriter
from storage.search.opensearch.indexes import Indexes


class OpenSearchRebuild:
    """A `SearchRebuild`. From the moment there are two indexes, every client writes to both.

    So the new index lacks only changes that were sent before that moment. Their outputs were stored even
    earlier, and are read from the store later, when the new index is filled.
    """

    def __init__(self, indexes: Indexes, bulk: BulkWriter) -> None:
        self._indexes = indexes
        self._bulk = bulk

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Apply changes to the new index only."""
        with self._indexes.noticing():
            return self._bulk.apply(changes, self._building) if changes else []

    def finish(self, *, fewer: bool) -> str:
        """Let the new index answer queries. Return the name of the former one, which is kept.

        Raises: UsageError if the new index has fewer documents than the former one, unless `fewer`.
        """
        with self._indexes.noticing():
            (building,) = self._building()
            present, new = self._indexes.documents(self._indexes.alias), self._indexes.documents(building)
            if new < present and not fewer:
                raise UsageError(
                    f"the new index has {new:,} documents, and the present one, which stays in use,"
                    f" {present:,}; pass the missing IDs to the same command, or pass --fewer to drop them"
                )
            return self._indexes.switch()

    def _building(self) -> list[str]:
        """Return the alias of the new index. Raises: UsageError if another process finished the rebuild."""
        if self._indexes.state().building is None:
            raise UsageError("another process finished the rebuild; its index answers queries already")
        return [self._indexes.building_alias]
