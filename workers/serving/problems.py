"""A request that gets a problem for its answer, as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from starlette.responses import Response

from panopticon.credentials import masked
from workers.serving.problem_kinds import CATALOGUE, PATH

MEDIA_TYPE = "application/problem+json"
MAX_VALUE_CHARS = 200


@dataclass(eq=False, kw_only=True)
class Problem(Exception):  # noqa: N818
    """A request that gets no answer but this. Title and status come from `CATALOGUE`."""

    slug: str
    detail: str
    """The fault, in one sentence for the client's log."""
    parameter: str | None = None
    value: object = None
    allowed: object = None
    """A list of values that would have been taken, a limit, or a sentence."""
    reason: str | None = None
    """The reason code of a rejected image or of a component that is down."""
    component: str | None = None
    retry_after_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the answer that no other field leads to."""

    def __post_init__(self) -> None:
        super().__init__(f"{self.slug}: {self.detail}")
        # A slug that is not in the catalogue is a bug, found here and not in the answer.
        self.kind = CATALOGUE[self.slug]
        if self.retry_after_s is None:
            self.retry_after_s = self.kind.retry_after_s

    @property
    def status(self) -> int:
        """Return the status of the answer."""
        return self.kind.status

    def as_dict(self, request_id: str | None = None) -> dict[str, object]:
        """Return the problem document. Credentials in it are masked, and long values are cut."""
        document: dict[str, object] = {
            "type": f"{PATH}/{self.slug}",
            "title": self.kind.title,
            "status": self.status,
            "detail": masked(self.detail),
        }
        optional = {
            "request_id": request_id,
            "reason": self.reason,
            "component": self.component,
            "parameter": self.parameter,
            "value": _shown(self.value),
            "allowed": self.allowed,
            "retry_after_ms": None if self.retry_after_s is None else math.ceil(self.retry_after_s * 1000),
        }
        return document | {key: value for key, value in optional.items() if value is not None}

    def body(self, request_id: str | None = None) -> bytes:
        """Return the problem document as JSON."""
        # A lone surrogate in a value has no UTF-8, so the JSON is ASCII.
        return json.dumps(self.as_dict(request_id), separators=(",", ":")).encode("ascii")

    def answer_headers(self) -> dict[str, str]:
        """Return the headers of the answer, but for its length."""
        headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after_s))
        if self.slug == "unauthorized":
            headers["www-authenticate"] = 'Bearer realm="panopticon"'
        if self.slug == "method-not-allowed" and isinstance(self.allowed, Iterable):
            headers["allow"] = ", ".join(map(str, self.allowed))
        return headers | dict(self.headers)

    def response(self, request_id: str | None = None) -> Response:
        """Return the answer."""
        return Response(self.body(request_id), self.status, self.answer_headers())


def _shown(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = masked(value)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[: MAX_VALUE_CHARS - 1]}…"
