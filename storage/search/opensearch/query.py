"""Search requests in the query language of OpenSearch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from panopticon.results.cursors import PageEnd, Stage
from panopticon.results.documents import fold_label
from panopticon.results.search import Order, Query, ScoreRange

Clause = dict[str, Any]

_ALIVE: Clause = {"term": {"deleted": False}}


def request(query: Query, *, stage: Stage, size: int) -> Clause:
    """Return the body of a search for the next `size` documents of a stage."""
    labels = [[label] for label in query.all_of] + ([query.any_of] if query.any_of else [])
    probable = {"range": {"tags.probability": {"gte": query.min_probability}}}
    tagged = [_nested("tags", [*_named(query, group), probable]) for group in labels]
    scored = [_scored(query, wanted) for wanted in query.scores]
    body = {
        "size": size,
        "query": {"bool": {"filter": [_ALIVE, *_dated(stage), *tagged, *scored]}},
        "sort": [_order(query), {"image_id": "asc"}],
        # If documents are ordered by nested values, a server that need not count skips some of them
        # (opensearch-project/OpenSearch#21537).
        "track_total_hits": query.order is not Order.NEWEST,
    }
    if (end := stage.end) is None:
        return body
    # A time is a whole number, and the end of a page has it as a float.
    rank = int(end.rank) if query.order is Order.NEWEST else _in_json(end.rank)
    return {**body, "search_after": [rank, end.image_id]}


def listing(*, after: str, size: int, part: str, policy_below: int | None, tombstones: bool) -> Clause:
    """Return the body of a search for the next `size` IDs after `after`; an ID is a hit's last sort value."""
    alive = [] if tombstones else [_ALIVE]
    has_part = [_has_part(part, policy_below)] if part else []
    body = {
        "size": size,
        "query": {"bool": {"filter": [*alive, *has_part]}},
        "sort": [{"image_id": "asc"}],
        "_source": False,
        "track_total_hits": False,
    }
    return {**body, "search_after": [after]} if after else body


def counting(parts: Sequence[str]) -> Clause:
    """Return the body of a count of the documents that have all of these parts."""
    return {"query": {"bool": {"filter": [_ALIVE, *(_has_part(part, None) for part in parts)]}}}


def page_end(hit: Mapping[str, Any]) -> PageEnd:
    """Return the end of a page, given its last hit."""
    rank, image_id = hit["sort"]
    return PageEnd(rank=float(rank), image_id=image_id)


def _dated(stage: Stage) -> list[Clause]:
    if stage.dated is None:
        return []
    undated: Clause = {"term": {"occurred_at_ms": 0}}
    return [{"bool": {"must_not": undated}} if stage.dated else undated]


def _has_part(part: str, policy_below: int | None) -> Clause:
    named = [{"term": {"parts.name": part}}]
    older = [{"range": {"parts.policy_number": {"lt": policy_below}}}] if policy_below is not None else []
    return _nested("parts", [*named, *older])


def _scored(query: Query, wanted: ScoreRange) -> Clause:
    bounds = {"gte": wanted.minimum, "lte": wanted.maximum}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    # No value lies above or below NaN.
    if any(math.isnan(bound) for bound in given.values()):
        return {"match_none": {}}
    values = {name: _in_json(bound) for name, bound in given.items()}
    return _nested("scores", [*_measured(query, wanted.name), {"range": {"scores.value": values}}])


def _order(query: Query) -> Clause:
    if query.order is Order.NEWEST:
        return {"occurred_at_ms": "desc"}
    if query.order is Order.SCORE:
        return _highest("scores", "value", _measured(query, query.order_score))
    return _highest("tags", "probability", _named(query, (*query.all_of, *query.any_of)))


def _highest(path: str, field: str, among: Sequence[Clause]) -> Clause:
    # Documents without such a value come last.
    nested = {"path": path, "filter": {"bool": {"filter": among}}}
    return {f"{path}.{field}": {"order": "desc", "mode": "max", "missing": "_last", "nested": nested}}


def _named(query: Query, labels: Iterable[str]) -> list[Clause]:
    folded = sorted({fold_label(label) for label in labels})
    return [{"terms": {"tags.part": query.parts}}, {"terms": {"tags.names": folded}}]


def _measured(query: Query, name: str) -> list[Clause]:
    return [{"terms": {"scores.part": query.parts}}, {"term": {"scores.name": name}}]


def _nested(path: str, conditions: Sequence[Clause]) -> Clause:
    return {"nested": {"path": path, "query": {"bool": {"filter": conditions}}}}


def _in_json(value: float) -> float | str:
    # JSON has no infinity, so it is written as a word.
    if math.isfinite(value):
        return value
    return "Infinity" if value > 0 else "-Infinity"
