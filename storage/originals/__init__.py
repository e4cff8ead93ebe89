"""Sources of originals, by the scheme of a URI; each is opened by its first fetch."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from panopticon.credentials import masked
from panopticon.errors import Rejected, UsageError
from panopticon.interfaces import FetchLimits, ImageSource
from panopticon.settings import Settings
from storage.originals.addresses import AllowedAddresses, host_of_setting, read_allowed
from storage.originals.buckets import AllowedBucketsSource, read_buckets
from storage.originals.files import FileSource

PACKAGES = {"http": "urllib3", "https": "urllib3", "s3": "boto3"}
MAX_SCHEME_CHARS = 40
"""The longest scheme that a failure quotes: a message may be of any length."""


class Originals:
    """An ImageSource that passes each URI to the source of its scheme."""

    def __init__(self, sources: Mapping[str, ImageSource]) -> None:
        self._sources = sources

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        """Fetch one original. Raises: Rejected(`bad_uri`) for an unknown scheme; what its source raises."""
        scheme, colon, _ = uri.partition(":")
        source = self._sources.get(scheme.lower()) if colon else None
        if source is None:
            known = ", ".join(sorted(self._sources))
            raise Rejected("bad_uri", f"no source for {scheme[:MAX_SCHEME_CHARS]!r}; known: {known}")
        return source.fetch(uri, limits)


class LazySource:
    """An ImageSource whose driver is imported by its first fetch, in any thread."""

    def __init__(self, open_source: Callable[[], ImageSource]) -> None:
        self._open_source = open_source
        self._source: ImageSource | None = None
        self._lock = threading.Lock()

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        with self._lock:
            if self._source is None:
                self._source = self._open_source()
            source = self._source
        return source.fetch(uri, limits)


def open_originals(settings: Settings) -> Originals:
    """Return every source whose driver is installed. Raises: UsageError for settings that none can serve."""
    check_template(settings.originals)
    own, endpoint = host_of_setting(settings.originals), host_of_setting(settings.s3_endpoint)
    configured = [host for host in (own, endpoint) if host is not None]
    allowed = read_allowed(settings.private_hosts, configured=configured)
    buckets = read_buckets(settings.readable_buckets, originals=settings.originals)
    web = LazySource(lambda: _web(allowed, settings.originals if own else ""))
    sources: dict[str, ImageSource] = {
        "file": FileSource([os.fsencode(os.path.realpath(root)) for root in settings.readable_roots]),
        "http": web,
        "https": web,
        "s3": AllowedBucketsSource(buckets, LazySource(lambda: _s3(settings))),
    }
    missing = {scheme for scheme, name in PACKAGES.items() if importlib.util.find_spec(name) is None}
    _check_served(settings, missing)
    return Originals({scheme: source for scheme, source in sources.items() if scheme not in missing})


def check_template(template: str) -> None:
    """Raise UsageError unless the setting `originals` is empty or a URI with `{image_id}` in it."""
    if not template:
        return
    parts = urlsplit(template)
    if "@" in parts.netloc:
        raise UsageError(
            "setting 'originals' holds a user name or password, which would be stored with every image; "
            "leave it out, and allow the workers' addresses or use S3"
        )
    if "{image_id}" not in template or not parts.scheme:
        raise UsageError(
            f"setting 'originals' is {masked(template)!r}; it must be like file:///photos/{{image_id}}"
        )


def _check_served(settings: Settings, missing: Collection[str]) -> None:
    scheme = urlsplit(settings.originals).scheme
    if scheme in missing:
        raise UsageError(
            f"setting 'originals' begins with {scheme}://, for which {PACKAGES[scheme]} is missing: "
            f"pip install {PACKAGES[scheme]}"
        )
    if scheme == "file" and not settings.readable_roots:
        raise UsageError("setting 'originals' names files; name their folder in the setting file_roots too")


def _web(allowed: AllowedAddresses, originals: str) -> ImageSource:
    """`originals`: the setting, if its scheme is that of a web server."""
    from storage.originals.http import HttpSource
    from storage.originals.web_client import origin_of

    return HttpSource(allowed, configured=origin_of(originals) if originals else None)


def _s3(settings: Settings) -> ImageSource:
    from storage.originals.s3 import S3Options, open_s3

    parts = urlsplit(settings.originals)
    options = S3Options(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        addressing=settings.s3_addressing,
        bucket=parts.netloc if parts.scheme == "s3" else "",
    )
    return open_s3(options)
