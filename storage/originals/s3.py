"""The source of originals in S3, or in a server with its interface: `s3://bucket/key`.

boto3 finds the credentials and signs a URL, which is then fetched like any other, within the same limits.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ParamValidationError

from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.interfaces import FetchLimits
from storage.originals.addresses import resolve
from storage.originals.buckets import S3Object, object_of
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
        # Versity's gateway, for keys that it does not know.
        "XAdminUserNotFound",
    }
)
"""Error codes for mistakes in our credentials or clock, which no image causes."""
BUCKET_MISTAKE = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "AuthorizationQueryParametersError",
        "NoSuchBucket",
        "PermanentRedirect",
        "TemporaryRedirect",
    }
)
"""Error codes for a bucket that is missing, or in another region than the one that was signed for."""
REDIRECTED = (301, 307)
"""Statuses of a bucket in another region than the one that was signed for."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
"""A key that every server spells like us: no escapes, and no two slashes in a row that a proxy may merge."""
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


class S3Source:
    """An ImageSource of S3, for many threads. Only settings name its host, so every address is allowed.

    A bucket that is missing, or that the credentials do not open, is an outage if it is the bucket of the
    setting originals; any other is the matter of its images.
    """

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._client = _client(options)
        self._web = WebClient(resolve)

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
            raise self._refusal(answer, place)
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
        except ParamValidationError:
            raise Rejected("bad_uri", "S3 has no such keys") from None
        except BotoCoreError as error:
            raise Unavailable("source", f"S3 request cannot be signed: {type(error).__name__}") from None

    def _refusal(self, answer: Answer, place: S3Object) -> PanopticonError:
        found = _CODE.search(answer.content)
        code = found[1].decode() if found else ""
        detail = f"bucket {place.bucket}: {answer.detail}{code and f', {code}'}"
        # A message chooses the key, so only what no key can cause is the fault of the source.
        wrong_secret = code == "SignatureDoesNotMatch" and _PLAIN_KEY.fullmatch(place.key)
        wrong_bucket = code in BUCKET_MISTAKE and self._is_configured(place.bucket)
        if code in OUR_MISTAKE or wrong_secret or wrong_bucket:
            return Unavailable("source", detail)
        if code == "InvalidObjectState":
            return Rejected("archived", detail)
        return Transient("forbidden", detail) if _is_about_bucket(answer.status, code) else refusal(answer)

    def _is_configured(self, bucket: str) -> bool:
        return bucket == self._options.bucket


def open_s3(options: S3Options) -> S3Source:
    """Return a source. Raises: Unavailable(`source`) if boto3 cannot use its own configuration."""
    try:
        return S3Source(options)
    except (BotoCoreError, ValueError) as error:
        raise Unavailable("source", f"S3 cannot be opened: {type(error).__name__}") from None


def _is_about_bucket(status: int, code: str) -> bool:
    # Not every server has Amazon's codes: a 404 with any code but NoSuchKey may be about the bucket.
    refused = status in (*REDIRECTED, 401, 403) or code in BUCKET_MISTAKE
    return refused or (status == 404 and code not in ("", "NoSuchKey"))


def _client(options: S3Options) -> Any:
    config = Config(signature_version="s3v4", s3={"addressing_style": options.addressing}, proxies={})
    session = boto3.session.Session()
    return session.client(
        "s3",
        endpoint_url=options.endpoint or None,
        region_name=options.region or session.region_name or DEFAULT_REGION,
        config=config,
    )
