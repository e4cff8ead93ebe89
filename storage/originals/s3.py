"""The source of originals in S3, or in a server with its interface: `s3://bucket/key`.

boto3 finds the credentials and signs a URL, which is then fetched like any other, within the same limits.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.interfaces import FetchLimits
from storage.originals.addresses import resolve
from storage.originals.http import refusal
from storage.originals.web_client import OK, Answer, Unreachable, WebClient, parse_host

SIGNED_FOR_S = 300
DEFAULT_REGION = "us-east-1"
OUR_MISTAKE = frozenset(
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "TokenRefreshRequired",
    }
)
"""Error codes for mistakes in our credentials or clock, which no image causes."""
REDIRECTED = (301, 307)
"""Statuses of a bucket in another region than the one that was signed for."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """The place of S3. Empty fields: as boto3 finds them, which is at Amazon."""

    endpoint: str
    region: str
    addressing: str
    """`auto`, `path` or `virtual`."""
    bucket: str
    """The bucket in the setting originals; empty if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Object:
    """The place of one object."""

    bucket: str
    key: str


class S3Source:
    """An ImageSource of S3, for many threads. Only settings name its host, so every address is allowed."""

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._client = _client(options)
        self._web = WebClient(resolve)
        self._has_succeeded = False

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        """Fetch one object.

        Raises: Rejected (bad_uri, too_many_bytes, content_encoding, archived, http_NNN), Transient
        (not_found, timeout, dns, tls, connection_failed, connection_reset, forbidden, http_NNN),
        Unavailable(`source`).
        """
        place = object_of(uri)
        deadline_s = time.monotonic() + limits.timeout_s
        answer = self._get(place, limits.max_bytes, deadline_s)
        if answer.status != OK:
            raise self._refusal(answer, place.bucket)
        self._has_succeeded |= self._is_configured(place.bucket)
        return answer.content

    def _get(self, place: S3Object, max_bytes: int, deadline_s: float) -> Answer:
        url = self._signed(place)
        try:
            return self._web.get(url, max_bytes=max_bytes, deadline_s=deadline_s)
        except Unreachable as error:
            # If the bucket is part of the host's name, a wrong bucket makes the host unreachable.
            if parse_host(url).host.startswith(f"{place.bucket}.") and not self._is_configured(place.bucket):
                raise Transient(error.reason, error.detail) from None
            raise Unavailable("source", error.detail) from None

    def _signed(self, place: S3Object) -> str:
        parameters = {"Bucket": place.bucket, "Key": place.key}
        try:
            return str(
                self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=SIGNED_FOR_S)
            )
        except BotoCoreError as error:
            raise Unavailable("source", f"S3 request cannot be signed: {type(error).__name__}") from None

    def _refusal(self, answer: Answer, bucket: str) -> PanopticonError:
        found = _CODE.search(answer.content)
        code = found[1].decode() if found else ""
        detail = f"bucket {bucket}: {answer.detail}{code and f', {code}'}"
        if code in OUR_MISTAKE:
            return Unavailable("source", detail)
        if code == "InvalidObjectState":
            return Rejected("archived", detail)
        if _is_about_bucket(answer.status, code):
            # Before the first success, bucket or permissions are wrong; later it may be this image alone.
            if self._is_configured(bucket) and not self._has_succeeded:
                return Unavailable("source", detail)
            return Transient("forbidden", detail)
        return refusal(answer)

    def _is_configured(self, bucket: str) -> bool:
        return bucket == self._options.bucket


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


def _is_about_bucket(status: int, code: str) -> bool:
    # Not every server has Amazon's codes: a 404 with any code but NoSuchKey may be about the bucket.
    malformed = code.startswith("Authorization")
    return status in (*REDIRECTED, 401, 403) or malformed or (status == 404 and code not in ("", "NoSuchKey"))


def _client(options: S3Options) -> Any:
    config = Config(signature_version="s3v4", s3={"addressing_style": options.addressing}, proxies={})
    session = boto3.session.Session()
    return session.client(
        "s3",
        endpoint_url=options.endpoint or None,
        region_name=options.region or session.region_name or DEFAULT_REGION,
        config=config,
    )
