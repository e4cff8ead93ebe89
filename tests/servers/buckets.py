"""Buckets of the tests, filled by the owner of the S3 server."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import boto3

from tests.servers.s3 import S3Site


def client_of(site: S3Site) -> Any:
    """Return a client of the server's owner, which the caller closes."""
    keys = {"aws_access_key_id": site.access_key, "aws_secret_access_key": site.secret_key}
    return boto3.session.Session(**keys).client("s3", endpoint_url=site.url, region_name="us-east-1")


class Bucket:
    """A new bucket."""

    def __init__(self, client: Any) -> None:
        self.name = f"photos-{uuid.uuid4().hex[:12]}"
        self._client = client
        self._client.create_bucket(Bucket=self.name)

    def place(self, key: str, content: bytes) -> str:
        """Put an object; return its URI."""
        self._client.put_object(Bucket=self.name, Key=key, Body=content)
        return self.uri(key)

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{quote(key)}"
