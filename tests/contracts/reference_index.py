"""A search index in a dict, which defines the answers of every adapter."""

from __future__ import annotations

import math

from panopticon.messages import Tag, age_rank
from panopticon.results.documents import SearchDocument, fold_label
from panopticon.results.search import Order, Query, ScoreRange


def answer(documents: dict[str, SearchDocument], query: Query) -> list[SearchDocument]:
    """Return all documents that the query finds, in order, regardless of its limit and cursor."""
    found = [document for document in documents.values() if _matches(document, query)]
    return sorted(found, key=lambda document: (-_rank(document, query), document.image_id))


def _matches(document: SearchDocument, query: Query) -> bool:
    return (
        not document.deleted
        and all(_has_any(document, query, (label,)) for label in query.all_of)
        and (not query.any_of or _has_any(document, query, query.any_of))
        and all(_in_range(document, query, wanted) for wanted in query.scores)
    )


def _has_any(document: SearchDocument, query: Query, labels: tuple[str, ...]) -> bool:
    return any(probability >= query.min_probability for probability in _found(document, query, labels))


def _in_range(document: SearchDocument, query: Query, wanted: ScoreRange) -> bool:
    low = -math.inf if wanted.minimum is None else wanted.minimum
    high = math.inf if wanted.maximum is None else wanted.maximum
    return any(low <= score <= high for score in _scores(document, query, wanted.name))


def _rank(document: SearchDocument, query: Query) -> float:
    if query.order is Order.NEWEST:
        return age_rank(document.occurred_at_ms)
    if query.order is Order.SCORE:
        return max(_scores(document, query, query.order_score), default=-math.inf)
    return max(_found(document, query, (*query.all_of, *query.any_of)), default=-math.inf)


def _found(document: SearchDocument, query: Query, labels: tuple[str, ...]) -> list[float]:
    wanted = {fold_label(label) for label in labels}
    return [
        tag.probability
        for name, part in document.parts.items()
        if name in query.parts
        for tag in part.tags
        if wanted & _names(tag)
    ]


def _names(tag: Tag) -> set[str]:
    return {fold_label(label) for label in (tag.label, *tag.ancestors)}


def _scores(document: SearchDocument, query: Query, name: str) -> list[float]:
    return [
        part.scores[name]
        for part_name, part in document.parts.items()
        if part_name in query.parts and name in part.scores
    ]
