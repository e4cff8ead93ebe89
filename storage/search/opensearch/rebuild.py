"""The rebuild of the search index, in a new index next to the live one."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.errors import UsageError
from panopticon.interfaces import Applied
from panopticon.results.documents import Change
from storage.search.opensearch.bulk import BulkWriter
from storage.search.opensearch.index_lifecycle import IndexLifecycle


class OpenSearchRebuild:
    """A `SearchRebuild`. From the moment there are two indexes, every client writes to both.

    So the new index lacks only changes that were sent before that moment. Their outputs were stored even
    earlier, and are read from the store later, when the new index is filled.
    """

    def __init__(self, lifecycle: IndexLifecycle, bulk: BulkWriter) -> None:
        self._lifecycle = lifecycle
        self._bulk = bulk

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Apply changes to the new index only."""
        with self._lifecycle.noticing():
            return self._bulk.apply(changes, self._building) if changes else []

    def finish(self, *, fewer: bool) -> str | None:
        """Let the new index answer queries. Return the name of the former one, if any, which is kept.

        Raises: UsageError if the new index has fewer documents than the former one, unless `fewer`.
        """
        with self._lifecycle.noticing():
            (building,) = self._building()
            lost = self._lifecycle.state().live is None
            present = 0 if lost else self._documents(self._lifecycle.alias)
            new = self._documents(building)
            if new < present and not fewer:
                raise UsageError(
                    f"the new index has {new:,} documents, and the present one, which stays in use,"
                    f" {present:,}; pass the missing IDs to the same command, or pass --fewer to drop them"
                )
            return self._lifecycle.switch()

    def _documents(self, alias: str) -> int:
        self._lifecycle.refresh(alias)
        return self._lifecycle.documents(alias)

    def _building(self) -> list[str]:
        """Return the alias of the new index. Raises: UsageError if another process finished the rebuild."""
        if self._lifecycle.state().building is None:
            raise UsageError("another process finished the rebuild; its index answers queries already")
        return [self._lifecycle.building_alias]
