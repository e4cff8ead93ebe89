"""The search index in OpenSearch: one index behind an alias, changed by one stored script."""

from storage.search.opensearch.index import OpenSearchIndex

__all__ = ["OpenSearchIndex"]
