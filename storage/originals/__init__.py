"""Originals, by URI: one source per scheme."""

from __future__ import annotations

from urllib.parse import urlsplit

from panopticon.errors import Rejected, UsageError
from panopticon.interfaces import FetchLimits, ImageSource
from storage.originals.files import FileSource


class Originals:
    """An ImageSource that hands each URI to the source of its scheme."""

    def __init__(self) -> None:
        self._sources: dict[str, ImageSource] = {"file": FileSource()}

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        """Raises: Rejected(`bad_uri`) for a scheme nobody serves, and whatever its source raises."""
        scheme, colon, _ = uri.partition(":")
        source = self._sources.get(scheme.lower()) if colon else None
        if source is None:
            raise Rejected("bad_uri", f"no source for {scheme!r}; known: {', '.join(sorted(self._sources))}")
        return source.fetch(uri, limits)


def check_template(template: str) -> None:
    """Raises: UsageError unless the setting `originals` is empty or a URI with `{image_id}` in it."""
    if template and ("{image_id}" not in template or not urlsplit(template).scheme):
        raise UsageError(f"setting 'originals' is {template!r}; it must be like file:///photos/{{image_id}}")
