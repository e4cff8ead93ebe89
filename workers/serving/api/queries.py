"""The query string of a request, read strictly."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl

from workers.serving.problems import Problem


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
        if name not in known:
            raise Problem(
                slug="invalid-parameter",
                detail=f"there is no parameter {name!r:.80}",
                parameter=name[:80],
                allowed=list(known),
            )
        given = values.setdefault(name, [])
        if given and name not in repeatable:
            raise Problem(
                slug="invalid-parameter",
                detail=f"{name} is there more than once; give it once",
                parameter=name,
                value=value,
                allowed="one value",
            )
        given.append(value)
    return values
