"""The source of originals in S3, with a real server."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.interfaces import FetchLimits, ImageSource
from storage.originals.buckets import S3Object, object_of
from storage.originals.s3 import S3Options, S3Source, open_s3
from tests.contracts.image_source import LIMITS, ImageSourceContract
from tests.servers import http
from tests.servers.buckets import Bucket, client_of
from tests.servers.http import HttpServer
from tests.servers.s3 import S3Server, S3Site
from tests.storage.originals.names import Names

NO_CREDENTIALS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_CONFIG_FILE": "/nonexistent",
}


@pytest.fixture(autouse=True, scope="module")
def _only_the_keys_of_the_site(s3_site: S3Site) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environ:
        for name, value in {**NO_CREDENTIALS, **s3_site.as_environ()}.items():
            environ.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def owner(s3_site: S3Site) -> Iterator[Any]:
    """One S3 client of the server's owner for all tests, since clients are slow to create."""
    client = client_of(s3_site)
    yield client
    client.close()


@pytest.fixture
def bucket(owner: Any) -> Bucket:
    return Bucket(owner)


def source_of(endpoint: str, *, bucket: str = "", addressing: str = "auto") -> S3Source:
    return S3Source(S3Options(endpoint=endpoint, region="us-east-1", addressing=addressing, bucket=bucket))


def refusal(source: ImageSource, uri: str, limits: FetchLimits = LIMITS) -> PanopticonError:
    with pytest.raises((Rejected, Transient, Unavailable)) as caught:
        source.fetch(uri, limits)
    return caught.value


def failure_of(source: ImageSource, uri: str, limits: FetchLimits = LIMITS) -> tuple[str, str]:
    """Return (class, reason) of the error that the fetch raises."""
    error = refusal(source, uri, limits)
    return type(error).__name__, getattr(error, "reason", "")


class TestS3Source(ImageSourceContract):
    absence = Transient

    @pytest.fixture(autouse=True)
    def _bucket(self, bucket: Bucket, opened: S3Source) -> None:
        self.bucket = bucket
        self.opened = opened

    def open_source(self) -> ImageSource:
        return self.opened

    def place(self, name: str, content: bytes) -> str:
        return self.bucket.place(name, content)

    def absent(self) -> str:
        return self.bucket.uri("absent.jpg")


class ImitatedS3:
    """A source, and a server that imitates S3.

    It sends errors that the real server cannot be made to send, in the form of Amazon's reference.
    """

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.source = source_of(server.url)

    def failure_for(self, status: int, code: str) -> tuple[str, str]:
        """Fetch an object for which the server sends this error; return (class, reason)."""
        answer = http.status(status, f"<Error><Code>{code}</Code></Error>".encode())
        self.server.behave("/photos/x.jpg", answer)
        return failure_of(self.source, "s3://photos/x.jpg")


@pytest.fixture(scope="module")
def imitated() -> Iterator[ImitatedS3]:
    with HttpServer() as server:
        yield ImitatedS3(server)


@pytest.fixture(scope="module")
def opened(s3_site: S3Site) -> S3Source:
    """A source on the real server, without a configured bucket."""
    return source_of(s3_site.url)


class TestRefusals:
    def test_wrong_keys_mean_that_the_source_is_down(
        self, bucket: Bucket, s3_site: S3Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uri = bucket.place("photo.jpg", b"x")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        error = refusal(source_of(s3_site.url, bucket=bucket.name), uri)
        assert isinstance(error, Unavailable)
        assert error.reason.startswith(f"bucket {bucket.name}: 127.0.0.1 answered 40")

    def test_a_wrong_secret_means_the_same_and_is_not_quoted(
        self, bucket: Bucket, s3_site: S3Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uri = bucket.place("photo.jpg", b"x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        error = refusal(source_of(s3_site.url, bucket=bucket.name), uri)
        assert isinstance(error, Unavailable)
        assert "SignatureDoesNotMatch" in error.reason
        assert "s3cr3t" not in str(error)

    def test_no_keys_at_all_mean_that_the_source_is_down(
        self, bucket: Bucket, s3_site: S3Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        error = refusal(source_of(s3_site.url, bucket=bucket.name), bucket.uri("photo.jpg"))
        assert str(error) == "source unavailable: S3 request cannot be signed: NoCredentialsError"

    def test_a_missing_configured_bucket_means_that_the_source_is_down(self, s3_site: S3Site) -> None:
        error = refusal(source_of(s3_site.url, bucket="nosuch"), "s3://nosuch/photo.jpg")
        assert str(error) == "source unavailable: bucket nosuch: 127.0.0.1 answered 404, NoSuchBucket"

    def test_any_other_missing_bucket_fails_only_its_images(self, bucket: Bucket, s3_site: S3Site) -> None:
        source = source_of(s3_site.url, bucket=bucket.name)
        assert failure_of(source, "s3://nosuch/photo.jpg") == ("Transient", "forbidden")

    def test_an_error_contains_neither_key_nor_signature(self, bucket: Bucket, opened: S3Source) -> None:
        error = refusal(opened, bucket.uri("private/photo.jpg"))
        assert str(error) == "not_found: 127.0.0.1 answered 404"

    @pytest.mark.parametrize(
        ("status", "code", "expected"),
        [
            (503, "SlowDown", ("Transient", "http_503")),
            (500, "InternalError", ("Transient", "http_500")),
            (429, "TooManyRequests", ("Transient", "http_429")),
            (403, "AccessDenied", ("Transient", "forbidden")),
            (403, "InvalidObjectState", ("Rejected", "archived")),
            (400, "KeyTooLongError", ("Rejected", "http_400")),
            (301, "PermanentRedirect", ("Transient", "forbidden")),
            (307, "TemporaryRedirect", ("Transient", "forbidden")),
        ],
    )
    def test_each_error_code_has_its_class_and_reason(
        self, imitated: ImitatedS3, status: int, code: str, expected: tuple[str, str]
    ) -> None:
        assert imitated.failure_for(status, code) == expected

    @pytest.mark.parametrize(
        "code", ["ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed"]
    )
    def test_an_error_that_no_image_can_cause_means_that_the_source_is_down(
        self, imitated: ImitatedS3, code: str
    ) -> None:
        assert imitated.failure_for(400, code)[0] == "Unavailable"

    def test_access_denied_fails_only_its_image_since_a_message_chooses_the_key(self) -> None:
        denied = http.status(403, b"<Error><Code>AccessDenied</Code></Error>")
        with HttpServer() as server:
            source = source_of(server.url, bucket="photos")
            server.behave("/photos/denied.jpg", denied)
            assert failure_of(source, "s3://photos/denied.jpg") == ("Transient", "forbidden")

    @pytest.mark.parametrize(
        ("key", "expected"),
        [("2026/a.jpg", "Unavailable"), ("2026//a.jpg", "Transient"), ("a%20b.jpg", "Transient")],
    )
    def test_a_wrong_signature_is_an_outage_only_for_a_key_that_every_server_spells_alike(
        self, key: str, expected: str
    ) -> None:
        refused = http.status(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        with HttpServer() as server:
            server.behave(f"/photos/{key}", refused)
            assert failure_of(source_of(server.url, bucket="photos"), f"s3://photos/{key}")[0] == expected

    def test_a_configuration_of_boto3_that_cannot_be_read_means_that_the_source_is_down(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "config").write_text("no section")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        with pytest.raises(Unavailable, match="source unavailable: S3 cannot be opened: "):
            open_s3(S3Options(endpoint="", region="", addressing="auto", bucket="photos"))

    def test_an_object_that_is_stored_packed_is_unpacked(self, imitated: ImitatedS3) -> None:
        packed = http.status(200, gzip.compress(b"photo"), Content_Encoding="gzip")
        imitated.server.behave("/photos/packed.jpg", packed)
        assert imitated.source.fetch("s3://photos/packed.jpg", LIMITS) == b"photo"

    def test_a_redirect_is_not_followed(self, imitated: ImitatedS3) -> None:
        imitated.server.place("photo.jpg", b"x")
        imitated.server.behave("/photos/moved.jpg", http.redirect("/photo.jpg"))
        assert failure_of(imitated.source, "s3://photos/moved.jpg") == ("Rejected", "http_302")


class TestServer:
    def placed(self, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> tuple[str, S3Source]:
        """Return an object on an imitated server, and a source for it."""
        for name, value in server.site.as_environ().items():
            monkeypatch.setenv(name, value)
        with closing(client_of(server.site)) as client:
            return Bucket(client).place("photo.jpg", b"x"), source_of(server.url)

    def test_a_killed_server_is_unavailable_and_is_used_again_once_it_is_back(
        self, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uri, source = self.placed(s3_server, monkeypatch)
        assert source.fetch(uri, LIMITS) == b"x"
        s3_server.kill()
        try:
            first, second = refusal(source, uri), refusal(source, uri)
        finally:
            s3_server.start()
        assert {type(first), type(second)} <= {Unavailable, Transient}
        assert str(second) == "source unavailable: 127.0.0.1: Connection refused"
        assert source.fetch(uri, LIMITS) == b"x"

    def test_a_server_that_hangs_ends_in_a_timeout(
        self, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uri, source = self.placed(s3_server, monkeypatch)
        begun_s = time.monotonic()
        s3_server.pause()
        try:
            assert failure_of(source, uri, replace(LIMITS, timeout_s=0.5)) == ("Transient", "timeout")
        finally:
            s3_server.resume()
        assert time.monotonic() - begun_s < 5

    @pytest.mark.parametrize("behaviour", [http.slow_drip, http.slow_headers])
    def test_an_answer_that_comes_byte_by_byte_ends_in_time(
        self, imitated: ImitatedS3, behaviour: http.Behaviour
    ) -> None:
        imitated.server.behave("/photos/drip.jpg", behaviour)
        begun_s = time.monotonic()
        limits = replace(LIMITS, timeout_s=0.4)
        assert failure_of(imitated.source, "s3://photos/drip.jpg", limits) == ("Transient", "timeout")
        assert time.monotonic() - begun_s < 5

    def test_a_proxy_of_the_environment_is_not_used(
        self, bucket: Bucket, s3_site: S3Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uri = bucket.place("photo.jpg", b"x")
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert source_of(s3_site.url).fetch(uri, LIMITS) == b"x"

    def test_a_bucket_may_be_part_of_the_host_name(self, names: Names) -> None:
        names.resolve("photos.s3.internal", "127.0.0.1")
        with HttpServer() as server:
            server.place("x.jpg", b"x")
            source = source_of(f"http://s3.internal:{server.port}", addressing="virtual")
            assert source.fetch("s3://photos/x.jpg", LIMITS) == b"x"

    def test_a_bucket_without_a_host_is_an_outage_only_if_it_is_the_configured_one(
        self, names: Names
    ) -> None:
        for name in ("photos", "typo"):
            names.resolve(f"{name}.s3.internal")
        source = source_of("http://s3.internal", addressing="virtual", bucket="photos")
        assert failure_of(source, "s3://photos/x.jpg")[0] == "Unavailable"
        assert failure_of(source, "s3://typo/x.jpg") == ("Transient", "dns")

    def test_one_connection_serves_many_fetches(self) -> None:
        with HttpServer() as server:
            server.place("photos/x.jpg", b"x")
            source = source_of(server.url)
            for _ in range(10):
                source.fetch("s3://photos/x.jpg", LIMITS)
            assert server.connections == 1


class TestUris:
    @pytest.mark.parametrize(
        ("uri", "bucket", "key"),
        [
            ("s3://photos/1.jpg", "photos", "1.jpg"),
            ("s3://photos/2026/11/a%20b%3F.jpg", "photos", "2026/11/a b?.jpg"),
            ("s3://photos//1.jpg", "photos", "/1.jpg"),
            ("s3://my.photos-2/%E7%8C%AB.jpg", "my.photos-2", "猫.jpg"),
            ("S3://photos/1+1.jpg", "photos", "1+1.jpg"),
        ],
    )
    def test_bucket_and_key_are_read_from_it(self, uri: str, bucket: str, key: str) -> None:
        assert object_of(uri) == S3Object(bucket=bucket, key=key)

    @pytest.mark.parametrize(
        "uri",
        [
            "s3://photos",
            "s3://photos/",
            "s3:///1.jpg",
            "s3://ann:s3cr3t@photos/1.jpg",
            "s3://photos:9000/1.jpg",
            "s3://arn:aws:s3:us-east-1:1:accesspoint/x/1.jpg",
            "s3://ph/1.jpg",
            "s3://evil.example%2F/1.jpg",
            "s3://photos/../other/1.jpg",
            "s3://photos/a/./1.jpg",
            "s3://photos/a/%2E%2E/1.jpg",
            "s3://photos/1.jpg?versionId=1",
            "s3://photos/1.jpg#1",
            "s3://photos/%FF.jpg",
            "s3://[photos/1.jpg",
        ],
    )
    def test_a_uri_without_bucket_or_key_is_rejected(self, uri: str) -> None:
        with pytest.raises(Rejected) as refused:
            object_of(uri)
        assert refused.value.reason == "bad_uri"
        assert "s3cr3t" not in str(refused.value)

    @given(st.text(min_size=1, max_size=40))
    def test_any_key_survives_the_round_trip_through_its_uri_or_is_rejected(self, key: str) -> None:
        try:
            uri = f"s3://photos/{quote(key)}"
        except UnicodeEncodeError:
            return
        if {".", ".."} & set(key.split("/")):
            with pytest.raises(Rejected):
                object_of(uri)
        else:
            assert object_of(uri).key == key

    @pytest.mark.parametrize(
        "key", ["a//b.jpg", "/a.jpg", "a b+c~!*'().jpg", "%41.jpg", "a\tb.jpg", "é/猫", "a;b=c&d"]
    )
    def test_a_key_is_signed_as_it_is_sent(self, bucket: Bucket, opened: S3Source, key: str) -> None:
        """The server refuses a signature over another spelling of the key."""
        assert failure_of(opened, bucket.uri(key)) == ("Transient", "not_found")
