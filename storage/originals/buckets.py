"""The buckets that a message may name: the setting `s3_buckets`.

A worker reads S3 with its own credentials, which may open many buckets, and upload services choose the URIs
of images. No driver is needed here, so that a refused URI opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from panopticon.errors import Rejected, UsageError
from panopticon.interfaces import FetchLimits, ImageSource

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Object:
    """The place of one object."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedBucket:
    """A bucket, or one folder of it."""

    bucket: str
    folder: str
    """Ends with a slash; empty for the whole bucket."""

    def holds(self, place: S3Object) -> bool:
        """Return whether the object is in it. Names of buckets are compared in their exact case."""
        return place.bucket == self.bucket and place.key.startswith(self.folder)


class AllowedBucketsSource:
    """An ImageSource that passes on only the URIs in these buckets, and opens nothing for any other."""

    def __init__(self, allowed: Sequence[AllowedBucket], source: ImageSource) -> None:
        self._allowed = tuple(allowed)
        self._source = source

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        """Fetch one object.

        Raises: Rejected (bad_uri, bucket_not_allowed), and what the source within raises.
        """
        place = object_of(uri)
        if not any(entry.holds(place) for entry in self._allowed):
            known = place.bucket in {entry.bucket for entry in self._allowed}
            named = f"this folder of bucket {place.bucket}" if known else f"bucket {place.bucket}"
            raise Rejected("bucket_not_allowed", f"{named} is not in the setting s3_buckets")
        return self._source.fetch(uri, limits)


def read_buckets(entries: Sequence[str], *, originals: str) -> tuple[AllowedBucket, ...]:
    """Parse the entries of the setting `s3_buckets`, and check that they hold the setting `originals`.

    Raises: UsageError for an entry that is not `bucket` or `bucket/folder`, and for originals outside of all.
    """
    allowed = tuple(_entry(text) for text in entries)
    parts = urlsplit(originals)
    # The part before the ID may end within a name, such as photos/cam-{image_id}.
    start = S3Object(bucket=parts.netloc, key=parts.path.partition("{image_id}")[0].removeprefix("/"))
    if parts.scheme == "s3" and not any(entry.holds(start) for entry in allowed):
        raise UsageError(
            f"setting 'originals' is {originals!r}, which the setting s3_buckets does not allow; "
            f"add {start.bucket} to it"
        )
    return allowed


def object_of(uri: str) -> S3Object:
    """Return bucket and key, percent-decoded. Raises: Rejected(`bad_uri`)."""
    try:
        parts = urlsplit(uri)
        key = unquote(parts.path.removeprefix("/"), errors="strict")
    except ValueError:
        raise Rejected("bad_uri", "it is not a URL in UTF-8") from None
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or not key:
        raise Rejected("bad_uri", "an S3 URI is s3://bucket/key")
    if parts.query or parts.fragment:
        raise Rejected("bad_uri", "in a key write %3F for ? and %23 for #")
    if {".", ".."} & set(key.split("/")):
        raise Rejected("bad_uri", "a key must not have . or .. as one of its parts")
    return S3Object(bucket=parts.netloc, key=key)


def _entry(text: str) -> AllowedBucket:
    bucket, _, folder = text.partition("/")
    folder = folder.strip("/")
    if not _BUCKET.fullmatch(bucket) or {".", ".."} & set(folder.split("/")):
        raise UsageError(f"setting 's3_buckets' names {text!r}; it must be a bucket, or bucket/folder")
    return AllowedBucket(bucket=bucket, folder=folder and f"{folder}/")
