"""Queries to a search index and their results, the same for every adapter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from panopticon.results.documents import SearchDocument


class Order(StrEnum):
    """The order of search results. Ties are always broken by image_id, ascending."""

    PROBABILITY = "probability"
    """Highest probability among the queried labels, highest first."""
    SCORE = "score"
    """The score named by `order_score`, highest first; documents without it come last."""
    NEWEST = "newest"
    """Latest `occurred_at_ms` first; documents without one come last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRange:
    """A range of one score, with both ends included. None leaves an end open."""

    name: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query for documents, without tombstones, whose named parts satisfy every condition."""

    parts: tuple[str, ...]
    """Names of the active versions' parts; other parts of a document are ignored."""
    all_of: tuple[str, ...] = ()
    """Labels that must all match: each matches a tag whose label or ancestor is equal after `fold_label`."""
    any_of: tuple[str, ...] = ()
    """Alternative labels: at least one must match."""
    min_probability: float = 0.0
    scores: tuple[ScoreRange, ...] = ()
    order: Order = Order.NEWEST
    order_score: str = ""
    limit: int = 20
    cursor: str = ""
    """Cursor of the previous page; the parts in it replace `parts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """One page of search results."""

    documents: tuple[SearchDocument, ...]
    cursor: str
    """Cursor for the next page; empty on the last page."""
    parts: tuple[str, ...]
    """The parts that this page was answered from."""
