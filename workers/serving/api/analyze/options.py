"""The query and the headers of a request to analyze images, read before its body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from panopticon.messages import Lane
from workers.serving.api.queries import query_values
from workers.serving.catalogue import ServedCatalogue
from workers.serving.problems import Problem
from workers.serving.served_model import ServedModel

PARAMETERS = ("models", "top_k", "vectors")
LANE_HEADER = b"x-panopticon-lane"
TIMEOUT_HEADER = b"x-request-timeout-ms"
HEADERS = frozenset({LANE_HEADER, TIMEOUT_HEADER, b"content-type", b"content-encoding", b"content-length"})
MAX_TOP_K = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The parameters and headers of a request."""

    models: Sequence[ServedModel]
    top_k: int | None
    vectors: bool
    lane: Lane
    timeout_s: float
    content_type: str
    length_bytes: int | None
    """The Content-Length; None for a body whose length is not known before its end."""


def read_options(scope: Mapping[str, Any], catalogue: ServedCatalogue, *, max_timeout_s: float) -> Options:
    """Return what a request asks for. Raises: Problem naming the parameter or the header."""
    query = _read_query(scope["query_string"])
    headers = _headers(scope["headers"])
    encoding = headers.get(b"content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Problem(
            slug="unsupported-media-type",
            detail="the body is encoded",
            parameter="Content-Encoding",
            value=encoding,
            allowed=["identity"],
        )
    models = catalogue.choose(query.models)
    if not models:
        raise Problem(slug="model-down", detail="the service has no model yet", component="model")
    return Options(
        models=models,
        top_k=query.top_k,
        vectors=query.vectors,
        lane=_lane(headers.get(LANE_HEADER)),
        timeout_s=_timeout_s(headers.get(TIMEOUT_HEADER), most_s=max_timeout_s),
        content_type=headers.get(b"content-type", ""),
        length_bytes=int(headers[b"content-length"]) if b"content-length" in headers else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    models: tuple[str, ...] | None
    """The names of models; None if the request names none."""
    top_k: int | None
    vectors: bool


# A client sends the same few parameters with each of its images.
@lru_cache(maxsize=256)
def _read_query(query_string: bytes) -> _Query:
    query = query_values(query_string, known=PARAMETERS, repeatable={"models"})
    names = [name.strip() for value in query.get("models", ()) for name in value.split(",")]
    return _Query(
        models=tuple(filter(None, names)) or None,
        top_k=_whole_number("top_k", query.get("top_k", [None])[0], most=MAX_TOP_K),
        vectors=_flag("vectors", query.get("vectors", [None])[0]),
    )


def _whole_number(name: str, value: str | None, *, most: int) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) <= most):
        raise Problem(
            slug="invalid-parameter",
            detail=f"{name} is not a whole number from 0 to {most}",
            parameter=name,
            value=value,
            allowed=f"0 to {most}",
        )
    return int(value)


def _flag(name: str, value: str | None) -> bool:
    if value in ("true", "1"):
        return True
    if value in (None, "false", "0"):
        return False
    raise Problem(
        slug="invalid-parameter",
        detail=f"{name} is neither true nor false",
        parameter=name,
        value=value,
        allowed=["true", "false"],
    )


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """Return the headers that count here. Raises: Problem if one is there twice."""
    found: dict[bytes, str] = {}
    for name, value in pairs:
        if name not in HEADERS:
            continue
        if name in found:
            title = name.decode("ascii").title()
            raise Problem(
                slug="invalid-header",
                detail=f"{title} is there more than once, and which one counts is unclear",
                parameter=title,
                value=value.decode("latin-1"),
                allowed="one header of this name",
            )
        found[name] = value.decode("latin-1")
    return found


def _lane(header: str | None) -> Lane:
    try:
        return Lane(header.strip().lower()) if header else Lane.LIVE
    except ValueError:
        raise Problem(
            slug="invalid-header",
            detail="there is no such lane",
            parameter="X-Panopticon-Lane",
            value=header,
            allowed=[lane.value for lane in Lane],
        ) from None


def _timeout_s(header: str | None, *, most_s: float) -> float:
    if header is None:
        return most_s
    if not (header.isascii() and header.isdigit() and int(header[:12]) > 0):
        raise Problem(
            slug="invalid-header",
            detail="X-Request-Timeout-Ms is not a number of milliseconds",
            parameter="X-Request-Timeout-Ms",
            value=header,
            allowed=f"a whole number from 1; more than {most_s * 1000:.0f} counts as that",
        )
    return min(int(header[:12]) / 1000, most_s)
