"""What can be asked of a search index: the same answers from every adapter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from panopticon.results.documents import SearchDocument


class Order(StrEnum):
    """Ties are always broken by image_id, ascending."""

    PROBABILITY = "probability"
    """Highest probability among the labels asked for, highest first."""
    SCORE = "score"
    """The score named by `order_score`, highest first; documents without it come last."""
    NEWEST = "newest"
    """Latest `occurred_at_ms` first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRange:
    """Both ends included; None is open."""

    name: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Documents that are no tombstones and satisfy every condition in the named parts."""

    parts: tuple[str, ...]
    """Names of the active versions' parts; nothing else in a document is looked at."""
    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    """Labels: each matches a tag whose label or ancestor is equal after `fold_label`."""
    min_probability: float = 0.0
    scores: tuple[ScoreRange, ...] = ()
    order: Order = Order.NEWEST
    order_score: str = ""
    limit: int = 20
    cursor: str = ""
    """From the page before; it carries the parts with which the query began, which then replace `parts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    documents: tuple[SearchDocument, ...]
    cursor: str
    """Empty on the last page."""
    parts: tuple[str, ...]
    """The parts this page was answered from."""
