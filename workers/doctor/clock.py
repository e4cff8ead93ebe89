"""Check this machine's clock, because leases, timestamps and certificates depend on it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

from panopticon.interfaces import Finding
from panopticon.settings import Settings
from storage.health.clocks import ADVICE, compared
from storage.health.findings import fail, ok

TIMEOUT_S = 3.0


def clock_findings(settings: Settings, *, now_s: Callable[[], float]) -> Iterator[Finding]:
    """Compare this machine's clock with the program's own files and with the HTTP servers of the settings."""
    # A clock that is right is not older than the program that it runs.
    if now_s() < Path(__file__).stat().st_mtime:
        yield fail("clock: here", "older than this program's own files", ADVICE)
    else:
        yield ok("clock: here", "later than this program's own files")
    for host in sorted(_hosts(settings)):
        theirs_s = _date_of(urlsplit(host))
        if theirs_s is not None:
            yield compared(host, ours_s=now_s(), theirs_s=theirs_s)


def _hosts(settings: Settings) -> set[str]:
    """Return `scheme://host:port`, without credentials, of the broker's management and of the originals."""
    management = parse_qs(urlsplit(settings.broker_url).query).get("management", [])
    urls = [urlsplit(url) for url in (*management, settings.originals)]
    return {
        f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
        for url in urls
        if url.scheme in ("http", "https") and url.hostname
    }


def _date_of(host: SplitResult) -> float | None:
    """Return the server's time in Unix seconds; None if it does not answer, or gives no date.

    Follows no redirect.
    """
    kind = http.client.HTTPSConnection if host.scheme == "https" else http.client.HTTPConnection
    connection = kind(host.netloc, timeout=TIMEOUT_S)
    try:
        connection.request("HEAD", "/")
        date = connection.getresponse().getheader("Date", "")
        return parsedate_to_datetime(date).timestamp()
    except (OSError, ssl.SSLError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
