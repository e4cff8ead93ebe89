"""The query string of a request, read strictly."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl

from workers.serving.problems import Problem

MAX_NAME_CHARS = 80


def query_values(
    query_string: bytes, *, known: Collection[str], repeatable: Collection[str]
) -> dict[str, list[str]]:
    """Return the values of each parameter that is there, in their order.

    Raises: Problem naming a parameter that is unknown, or there more than once without being repeatable.
    """
    if not query_string:
        return {}
    try:
        pairs = parse_qsl(query_string.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise Problem(
            slug="invalid-parameter",
            detail="the query string is not UTF-8",
            value=repr(bytes(error.object[error.start : error.end])),
            allowed="percent-encoded UTF-8",
        ) from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    for name, given in values.items():
        if name not in known:
            raise Problem(
                slug="invalid-parameter",
                detail=f"unknown parameter {name[:MAX_NAME_CHARS]!r}; known: {', '.join(known)}",
                parameter=name[:MAX_NAME_CHARS],
                allowed=list(known),
            )
        if len(given) > 1 and name not in repeatable:
            raise Problem(
                slug="invalid-parameter",
                detail=f"{name} is there {len(given)} times; give it once",
                parameter=name,
                value=given[1],
                allowed="one value",
            )
    return values
