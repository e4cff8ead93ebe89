"""Questions to search as people ask them, their answers as JSON, and why a label finds nothing."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panopticon.cards.cards import CardError
from panopticon.errors import UsageError
from panopticon.interfaces import SearchIndex, Store
from panopticon.messages import Tag, rfc_3339
from panopticon.models import find_card
from panopticon.policy.policy import read_policy
from panopticon.results.cursors import resume
from panopticon.results.documents import SearchDocument, fold_label
from panopticon.results.outputs import CatalogueImage
from panopticon.results.search import Order, Query, ScoreRange, SearchPage
from workers.registry.active import Active, active_versions, parts_of

ORDERS = ("probability", "newest", "score:NAME")

SUGGESTIONS = 5
"""Known labels that are suggested for an unknown one, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query as a person wrote it."""

    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    min_probability: float = 0.0
    scores: tuple[str, ...] = ()
    """Ranges of scores, such as `sharpness=0.2..0.8`."""
    order: str | None = None
    """`probability`, `newest` or `score:NAME`; None: by probability with labels, else the newest first."""
    limit: int = 20
    cursor: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that it names."""
        return (*self.all_of, *self.any_of)


class MistakenQuestion(UsageError):  # noqa: N818
    """A question that cannot be asked. The message names the option, its value and the way out."""

    def __init__(self, message: str, *, option: str, value: str, allowed: str | Sequence[str]) -> None:
        """`allowed`: the values that the option takes, or the form in which to write it."""
        super().__init__(message)
        self.option = option
        self.value = value
        self.allowed = allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One page of what a question finds, and what it was found by."""

    query: Query
    active: Active
    page: SearchPage
    rows: Mapping[str, CatalogueImage]
    """The rows of the page's images in the catalogue, by ID; one without a row is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownLabel:
    """A label that no active model has, and the known ones that resemble it, the closest first."""

    label: str
    near: tuple[str, ...]


def ask(question: Question, *, store: Store, search: SearchIndex, prefix: str = "") -> Answer:
    """Return a page of what the active versions answer.

    `prefix`: what stands before the name of an option where it is written, such as `--`.

    Raises: MistakenQuestion for an unknown score, for an order or range that cannot be read, and for a cursor
    of another query; NothingActive; Unavailable.
    """
    active = active_versions(store.registry)
    query = _query_of(question, active, prefix)
    page = search.query(query)
    rows = store.catalogue.get([document.image_id for document in page.documents])
    return Answer(query=query, active=active, page=page, rows=rows)


def _query_of(question: Question, active: Active, prefix: str) -> Query:
    known_scores = _score_names(active)
    order, order_score = _order(question, known_scores, prefix)
    query = Query(
        parts=parts_of(active),
        all_of=question.all_of,
        any_of=question.any_of,
        min_probability=question.min_probability,
        scores=tuple(_score_range(text, known_scores, prefix) for text in question.scores),
        order=order,
        order_score=order_score,
        limit=question.limit,
        cursor=question.cursor,
    )
    try:
        resume(query)
    except UsageError as error:
        raise MistakenQuestion(
            str(error),
            option="cursor",
            value=question.cursor,
            allowed="the cursor of the previous page, with the same question",
        ) from None
    return query


def answer_json(answer: Answer) -> dict[str, Any]:
    """Return the JSON of an answer; its keys are stable."""
    page, rows = answer.page, answer.rows
    return {
        "images": [
            {
                "image_id": document.image_id,
                "image_uri": row.image_uri if row else None,
                "revision": document.revision,
                "occurred_at": rfc_3339(document.occurred_at_ms),
                "tags": [{**tag.model_dump(), "part": part} for part, tag in tags_of(document, page.parts)],
                "scores": scores_of(document, page.parts),
            }
            for document in page.documents
            for row in [rows.get(document.image_id)]
        ],
        "cursor": page.cursor or None,
        "parts": list(page.parts),
    }


def tags_of(document: SearchDocument, parts: Iterable[str]) -> list[tuple[str, Tag]]:
    """Return the tags of these parts of a document with the name of their part, the likeliest first."""
    found = [
        (name, tag) for name in parts if (part := document.parts.get(name)) is not None for tag in part.tags
    ]
    return sorted(found, key=lambda named: -named[1].probability)


def scores_of(document: SearchDocument, parts: Iterable[str]) -> dict[str, float]:
    """Return the scores of these parts of a document, by name."""
    return {
        name: value
        for part_name in parts
        if (part := document.parts.get(part_name)) is not None
        for name, value in part.scores.items()
    }


def unknown_labels(answer: Answer, models_dir: Path | None) -> list[UnknownLabel]:
    """Return the labels asked for that no active model has, each with known labels that resemble it."""
    known = _known_labels(answer.active, models_dir)
    unknown = []
    for label in (*answer.query.all_of, *answer.query.any_of):
        folded = fold_label(label)
        if folded in known:
            continue
        # Labels that are spelt alike, then those of several words that have it as one, the shortest first.
        close = difflib.get_close_matches(folded, known, n=SUGGESTIONS, cutoff=0.7)
        within = sorted((key for key in known if folded in key.split()), key=len)
        near = tuple(known[key] for key in dict.fromkeys((*close, *within)))[:SUGGESTIONS]
        unknown.append(UnknownLabel(label=label, near=near))
    return unknown


def _order(question: Question, known: Sequence[str], prefix: str) -> tuple[Order, str]:
    text = question.order
    if text is None:
        return (Order.PROBABILITY if question.labels else Order.NEWEST), ""
    kind, _, name = text.partition(":")
    if kind == "score" and name:
        return Order.SCORE, _known_score(name, known, option="order")
    if text == "probability" and not question.labels:
        raise MistakenQuestion(
            f"{prefix}order probability needs a label to be probable; name one, or use {prefix}order newest",
            option="order",
            value=text,
            allowed=ORDERS[1:],
        )
    if text in ("probability", "newest"):
        return Order(text), ""
    raise MistakenQuestion(
        f"{prefix}order is {text!r}; it must be probability, newest or score:NAME",
        option="order",
        value=text,
        allowed=ORDERS,
    )


def _score_range(text: str, known: Sequence[str], prefix: str) -> ScoreRange:
    name, equals, bounds = text.partition("=")
    low, dots, high = bounds.partition("..")
    try:
        if not (equals and dots):
            raise ValueError(bounds)
        minimum, maximum = (float(bound) if bound.strip() else None for bound in (low, high))
        if math.isnan(minimum or 0) or math.isnan(maximum or 0):
            raise ValueError(bounds)
    except ValueError:
        remark = "; write it as sharpness=0.2..0.8, 0.2.. or ..0.8"
        raise _mistaken_range(text, remark, prefix) from None
    if minimum is not None and maximum is not None and minimum > maximum:
        remark = (
            f": {low.strip()} is greater than {high.strip()}, so nothing can be found;"
            f" write the lower end first: {name.strip()}={high.strip()}..{low.strip()}"
        )
        raise _mistaken_range(text, remark, prefix)
    return ScoreRange(
        name=_known_score(name.strip(), known, option="score"), minimum=minimum, maximum=maximum
    )


def _mistaken_range(text: str, remark: str, prefix: str) -> MistakenQuestion:
    message = f"{prefix}score is {text!r}{remark}"
    return MistakenQuestion(message, option="score", value=text, allowed="NAME=LOW..HIGH")


def _known_score(name: str, known: Sequence[str], *, option: str) -> str:
    if name not in known:
        raise MistakenQuestion(
            f"unknown score {name!r}; known: {', '.join(known) or 'none'}",
            option=option,
            value=name,
            allowed=known,
        )
    return name


def _score_names(active: Active) -> list[str]:
    """Return the names under which the scores of the active versions are shown."""
    return sorted(
        read_policy(version.policy_toml).renamed.get(label, label)
        for entry, version in active.values()
        if entry.task == "scoring"
        for label in version.labels
    )


def _known_labels(active: Active, models_dir: Path | None) -> dict[str, str]:
    """Return the labels of the active tagging versions and their broader terms: folded → as written."""
    labels: list[str] = []
    for name, (entry, version) in active.items():
        if entry.task == "tagging":
            labels += version.labels
            # The broader terms are in the card, which need not be on this machine.
            with suppress(CardError):
                rows = find_card(name, models_dir).labels
                labels += (term for row in rows for term in row.ancestors)
    return {fold_label(label): label for label in labels}
