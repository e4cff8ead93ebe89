"""Cursors: the end of a page of search results, as an opaque text that only the same query accepts."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from panopticon.errors import UsageError
from panopticon.results.search import Order, Query

_PAGE_FIELDS = ("cursor", "limit", "parts")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageEnd:
    """The place of the last document of a page in the order of the results."""

    rank: float
    """Its probability, score or time; -inf without a probability or score, 0 without a time."""
    image_id: str


def encode_cursor(query: Query, end: PageEnd) -> str:
    """Encode a URL-safe cursor. It has the query's parts, so that every page is from the same versions."""
    fields = {"of": _digest(query), "parts": query.parts, "rank": end.rank, "image_id": end.image_id}
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


def resume(query: Query) -> tuple[Query, PageEnd | None]:
    """Return the query with its original parts, and the end of its previous page; None for the first page.

    Raises: UsageError unless the cursor is empty or was made for this query. Its limit may change.
    """
    if not query.cursor:
        return query, None
    try:
        fields = json.loads(base64.b64decode(query.cursor.encode("ascii"), altchars=b"-_", validate=True))
        of, parts, end = _read(fields)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise UsageError(
            f"cursor {query.cursor!r} is not one that search printed: begin again without it"
        ) from None
    if of != _digest(query):
        raise UsageError(f"cursor {query.cursor!r} belongs to another query: begin again without it")
    return replace(query, parts=parts), end


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A run of a query's results that is in the order of its rank, and the place to resume it."""

    dated: bool | None
    """True if all its documents have a time, False if none has; None if either may."""
    end: PageEnd | None
    """The end of the previous page; None to begin with the first document."""


def stages(query: Query, end: PageEnd | None) -> list[Stage]:
    """Return the stages whose results, one after the other, follow `end`.

    By time there are two: an unknown time is stored as 0, which is greater than dates before 1970.
    """
    if query.order is not Order.NEWEST:
        return [Stage(dated=None, end=end)]
    if end is not None and end.rank == 0:
        return [Stage(dated=False, end=end)]
    return [Stage(dated=True, end=end), Stage(dated=False, end=None)]


def _read(fields: Any) -> tuple[str, tuple[str, ...], PageEnd]:
    parts, image_id = tuple(fields["parts"]), fields["image_id"]
    for text in (image_id, *parts):
        # A lone surrogate or another type raises here; a database would raise later.
        str.encode(text)
    return fields["of"], parts, PageEnd(rank=float(fields["rank"]), image_id=image_id)


def _digest(query: Query) -> str:
    asked = {name: value for name, value in asdict(query).items() if name not in _PAGE_FIELDS}
    return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8).hexdigest()
