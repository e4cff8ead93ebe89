"""The search index in OpenSearch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from panopticon.errors import UsageError
from panopticon.interfaces import Applied, Finding
from panopticon.results.cursors import PageEnd, Stage, encode_cursor, resume, stages
from panopticon.results.documents import Change, SearchDocument
from panopticon.results.search import Query, SearchPage
from storage.search.opensearch.bulk import BulkWriter
from storage.search.opensearch.connection import OpenSearchConnection, OpenSearchTimeouts
from storage.search.opensearch.diagnosis import diagnose
from storage.search.opensearch.encoding import decode_source
from storage.search.opensearch.errors import Gone, is_gone, line_of, unavailable
from storage.search.opensearch.index_lifecycle import IndexLifecycle
from storage.search.opensearch.query import counting, listing, page_end, request
from storage.search.opensearch.rebuild import OpenSearchRebuild
from storage.search.opensearch.url import address_of

MAX_PAGE = 10_000
"""The most hits in one answer of the server."""
MAX_GET = 1_000
PROBE_ID = "probe"
"""An image ID that is looked up to see whether an index answers; the answer itself does not matter."""


class OpenSearchIndex:
    """A `SearchIndex` that connects at first use. Threads may share it.

    Changes are on disk when `apply` returns, and can be found within a second.
    """

    def __init__(self, url: str, *, timeouts: OpenSearchTimeouts | None = None) -> None:
        """Connect to nothing yet. Raises: UsageError for a URL that does not name an index."""
        self._connection = OpenSearchConnection(address_of(url), timeouts or OpenSearchTimeouts())
        self._lifecycle = IndexLifecycle(self._connection)
        self._bulk = BulkWriter(self._connection, self._lifecycle)

    def exists(self) -> bool:
        with self._lifecycle.noticing():
            present = self._lifecycle.present()
            if present.names:
                # It raises if a shard is missing.
                self._documents([PROBE_ID], present.names[0])
        return bool(present.names)

    def create(self) -> None:
        with self._lifecycle.noticing():
            self._lifecycle.create()

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Apply changes to the live index, and to one that is being rebuilt. Either may refuse a change."""
        if not changes:
            return []
        with self._lifecycle.noticing():
            return self._bulk.apply(changes, self._lifecycle.targets)

    def get(self, image_ids: Sequence[str]) -> dict[str, SearchDocument]:
        """Return documents in their present state, also if queries do not find it yet."""
        wanted = sorted(set(image_ids))
        with self._lifecycle.noticing():
            pages = [self._get(wanted[at : at + MAX_GET]) for at in range(0, len(wanted), MAX_GET)]
        return {document.image_id: document for page in pages for document in page}

    def query(self, query: Query) -> SearchPage:
        """Return one page. Raises: UsageError for a cursor of another query, or for a limit below 1."""
        if query.limit < 1:
            raise UsageError(f"limit {query.limit}: ask for at least 1 document")
        query, end = resume(query)
        with self._lifecycle.noticing():
            found = self._find(query, end)
        page = found[: query.limit]
        return SearchPage(
            documents=tuple(decode_source(hit["_source"]) for hit in page),
            cursor=encode_cursor(query, page_end(page[-1])) if len(found) > query.limit else "",
            parts=query.parts,
        )

    def image_ids(
        self,
        *,
        after: str = "",
        limit: int,
        part: str = "",
        policy_below: int | None = None,
        tombstones: bool = False,
    ) -> list[str]:
        """Return IDs that queries find: changes of the last second may be missing."""
        found: list[str] = []
        with self._lifecycle.noticing():
            self._lifecycle.ready()
            while (missing := limit - len(found)) > 0:
                size = min(missing, MAX_PAGE)
                body = listing(
                    after=after, size=size, part=part, policy_below=policy_below, tombstones=tombstones
                )
                hits = self._search(body)
                found += [hit["sort"][0] for hit in hits]
                if len(hits) < size:
                    break
                after = found[-1]
        return found

    def count(self, parts: Sequence[str] = ()) -> int:
        """Count documents that queries find: changes of the last second may be missing."""
        with self._lifecycle.noticing():
            self._lifecycle.ready()
            answer = self._connection.ask("POST", f"/{self._lifecycle.alias}/_count", counting(parts))
        return int(answer["count"])

    def documents(self) -> int:
        """Count documents that queries find: changes of the last second may be missing."""
        with self._lifecycle.noticing():
            self._lifecycle.ready()
            return self._lifecycle.documents(self._lifecycle.alias)

    def rebuild(self) -> OpenSearchRebuild:
        """Begin a rebuild, or continue one that was interrupted."""
        with self._lifecycle.noticing():
            self._lifecycle.begin()
        return OpenSearchRebuild(self._lifecycle, self._bulk)

    def has_rebuild(self) -> bool:
        with self._lifecycle.noticing():
            return self._lifecycle.present().building is not None

    def drop_former(self) -> list[str]:
        """Delete the indexes that earlier rebuilds replaced, and return their names."""
        with self._lifecycle.noticing():
            return self._lifecycle.drop_former()

    def diagnose(self) -> list[Finding]:
        return diagnose(self._connection, self._lifecycle)

    def close(self) -> None:
        self._connection.close()

    def _get(self, image_ids: Sequence[str]) -> list[SearchDocument]:
        self._lifecycle.ready()
        return self._documents(image_ids, self._lifecycle.alias)

    def _documents(self, image_ids: Sequence[str], index: str) -> list[SearchDocument]:
        answer = self._connection.ask("POST", f"/{index}/_mget", {"ids": image_ids})
        for item in answer["docs"]:
            if cause := item.get("error"):
                raise (
                    Gone(line_of(cause))
                    if is_gone(cause)
                    else unavailable(self._connection.address, line_of(cause))
                )
        return [decode_source(item["_source"]) for item in answer["docs"] if item["found"]]

    def _find(self, query: Query, end: PageEnd | None) -> list[Any]:
        """Return the hits of one page, and one more if there is a next page."""
        self._lifecycle.ready()
        found: list[Any] = []
        for stage in stages(query, end):
            found += self._hits(query, stage, limit=query.limit + 1 - len(found))
        return found

    def _hits(self, query: Query, stage: Stage, *, limit: int) -> list[Any]:
        found: list[Any] = []
        while (missing := limit - len(found)) > 0:
            size = min(missing, MAX_PAGE)
            hits = self._search(request(query, stage=stage, size=size))
            found += hits
            if len(hits) < size:
                break
            stage = replace(stage, end=page_end(hits[-1]))
        return found

    def _search(self, body: dict[str, Any]) -> list[Any]:
        # Without the option, the documents of a missing shard would be missing in the answer.
        path, whole = f"/{self._lifecycle.alias}/_search", {"allow_partial_search_results": "false"}
        hits: list[Any] = self._connection.ask("POST", path, body, **whole)["hits"]["hits"]
        return hits
