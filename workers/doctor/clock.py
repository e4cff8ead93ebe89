"""Whether this machine's clock can be believed: leases, timestamps and certificates hang on it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

from panopticon.interfaces import Finding, Health
from panopticon.settings import Settings
from storage.health.clocks import ADVICE, compared

TIMEOUT_S = 3.0


def clock_findings(settings: Settings, *, now_s: Callable[[], float]) -> Iterator[Finding]:
    """This machine's clock beside its own files, and beside every HTTP server that the settings name."""
    yield _own_clock(now_s())
    for host in sorted(_hosts(settings)):
        theirs_s = _date_of(urlsplit(host))
        if theirs_s is not None:
            yield compared(host, ours_s=now_s(), theirs_s=theirs_s)


def _own_clock(now_s: float) -> Finding:
    """No clock that is right is older than the program it runs."""
    if now_s < Path(__file__).stat().st_mtime:
        return Finding(
            check="clock: here", health=Health.FAIL, seen="older than this program's own files", advice=ADVICE
        )
    return Finding(check="clock: here", health=Health.OK, seen="later than this program's own files")


def _hosts(settings: Settings) -> set[str]:
    """`scheme://host:port` of each, without credentials."""
    management = parse_qs(urlsplit(settings.broker_url).query).get("management", [])
    urls = [urlsplit(url) for url in (*management, settings.originals)]
    return {
        f"{url.scheme}://{_netloc(url)}" for url in urls if url.scheme in ("http", "https") and url.hostname
    }


def _netloc(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _date_of(host: SplitResult) -> float | None:
    """Unix seconds; None from a server that does not answer or does not say. Follows no redirect."""
    kind = http.client.HTTPSConnection if host.scheme == "https" else http.client.HTTPConnection
    connection = kind(host.netloc, timeout=TIMEOUT_S)
    try:
        connection.request("HEAD", "/")
        said = connection.getresponse().getheader("Date", "")
        return parsedate_to_datetime(said).timestamp()
    except (OSError, ssl.SSLError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
