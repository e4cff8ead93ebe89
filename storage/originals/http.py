"""The source of originals on web servers: `http://` and `https://`."""

from __future__ import annotations

import re
import time
from urllib.parse import urljoin

from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.interfaces import FetchLimits
from storage.originals.addresses import AllowedAddresses
from storage.originals.web_client import (
    OK,
    Answer,
    Unreachable,
    WebClient,
    WebOrigin,
    origin_of,
    parse_host,
)

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
TEMPORARY = (408, 425, 429)
"""The 4xx statuses that may go away, so that a retry makes sense: timeout, too early, too many requests."""


class HttpSource:
    """An ImageSource of web servers, for many threads."""

    def __init__(self, allowed: AllowedAddresses, *, configured: WebOrigin | None) -> None:
        """Connect to nothing yet.

        `configured`: the origin of the setting originals. Its outage is not the fault of any image.
        """
        self._web = WebClient(allowed.resolve)
        self._configured = configured

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        """Fetch one original, and follow redirects.

        Raises: Rejected (bad_uri, address_not_allowed, too_many_bytes, content_encoding, gone, forbidden,
        too_many_redirects, redirect_not_allowed, http_NNN), Transient (not_found, timeout, dns, tls,
        connection_failed, connection_reset, forbidden, http_NNN), Unavailable(`source`).
        """
        url, deadline_s = uri, time.monotonic() + limits.timeout_s
        for _ in range(1 + MAX_REDIRECTS):
            answer = self._get(url, limits.max_bytes, deadline_s)
            if answer.status in REDIRECTS and answer.location:
                url = _next_url(url, answer)
            elif answer.status == OK:
                return answer.content
            elif answer.status in (401, 403):
                raise self._forbidden(answer, url)
            else:
                raise refusal(answer)
        raise Rejected(
            "too_many_redirects", f"{parse_host(uri).host} redirects more than {MAX_REDIRECTS} times"
        )

    def _get(self, url: str, max_bytes: int, deadline_s: float) -> Answer:
        try:
            return self._web.get(url, max_bytes=max_bytes, deadline_s=deadline_s)
        except Unreachable as error:
            if self._is_configured(url):
                raise Unavailable("source", error.detail) from None
            raise Transient(error.reason, error.detail) from None

    def _forbidden(self, answer: Answer, url: str) -> PanopticonError:
        # A message chooses the path, so this is about its image alone. The configured server may also refuse
        # our address, and then the image is worth another attempt.
        return (Transient if self._is_configured(url) else Rejected)("forbidden", answer.detail)

    def _is_configured(self, url: str) -> bool:
        return self._configured is not None and origin_of(url) == self._configured


def refusal(answer: Answer) -> PanopticonError:
    """Return the error for an answer other than 200, 401 and 403."""
    status = answer.status
    if status == 404:
        return Transient("not_found", answer.detail)
    if status == 410:
        return Rejected("gone", answer.detail)
    final = 300 <= status < 500 and status not in TEMPORARY
    return (Rejected if final else Transient)(f"http_{status}", answer.detail)


def _next_url(url: str, answer: Answer) -> str:
    try:
        target = urljoin(url, answer.location)
    except ValueError:
        raise Rejected("redirect_not_allowed", f"{answer.host} redirects to an invalid URL") from None
    allowed = r"https:" if url[:6].lower() == "https:" else r"https?:"
    if not re.match(allowed, target, re.IGNORECASE):
        raise Rejected("redirect_not_allowed", f"{answer.host} redirects away from http or https")
    return target
