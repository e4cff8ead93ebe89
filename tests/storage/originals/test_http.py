"""The source of originals on the web, with a server that makes every mistake a server can make."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.interfaces import FetchLimits, ImageSource
from storage.originals.addresses import read_allowed
from storage.originals.http import HttpSource
from storage.originals.web_client import SECOND_TRY_AFTER_S, WebOrigin, origin_of
from tests.contracts.image_source import LIMITS, ImageSourceContract
from tests.servers import http
from tests.servers.http import HttpServer
from tests.storage.originals.names import Names

PHOTO = b"\xff\xd8 a photo " * 40
METADATA = "http://169.254.169.254/latest/meta-data/"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as started:
        yield started


def source_of(*servers: HttpServer, configured: str = "") -> HttpSource:
    """Return a source that may read from these servers, although they are on loopback."""
    entries = [f"127.0.0.1:{server.port}" for server in servers]
    origin = origin_of(configured) if configured else None
    return HttpSource(read_allowed(entries, configured=()), configured=origin)


def strict_source(*names: str, configured: WebOrigin | None = None) -> HttpSource:
    return HttpSource(read_allowed(names, configured=()), configured=configured)


def refusal(source: ImageSource, url: str, limits: FetchLimits = LIMITS) -> PanopticonError:
    with pytest.raises((Rejected, Transient, Unavailable)) as caught:
        source.fetch(url, limits)
    return caught.value


def failure_of(source: ImageSource, url: str, limits: FetchLimits = LIMITS) -> tuple[str, str]:
    """Return (class, reason) of the error that the fetch raises."""
    error = refusal(source, url, limits)
    return type(error).__name__, getattr(error, "reason", "")


class TestHttpSource(ImageSourceContract):
    absence = Transient
    server: HttpServer

    @pytest.fixture(autouse=True)
    def _serve(self, server: HttpServer) -> None:
        self.server = server

    def open_source(self) -> ImageSource:
        return source_of(self.server)

    def place(self, name: str, content: bytes) -> str:
        return self.server.place(name, content)

    def absent(self) -> str:
        return f"{self.server.url}/absent.jpg"


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (202, ("Transient", "http_202")),
            (204, ("Transient", "http_204")),
            (304, ("Rejected", "http_304")),
            (400, ("Rejected", "http_400")),
            (401, ("Rejected", "forbidden")),
            (403, ("Rejected", "forbidden")),
            (404, ("Transient", "not_found")),
            (405, ("Rejected", "http_405")),
            (408, ("Transient", "http_408")),
            (410, ("Rejected", "gone")),
            (414, ("Rejected", "http_414")),
            (425, ("Transient", "http_425")),
            (429, ("Transient", "http_429")),
            (451, ("Rejected", "http_451")),
            (500, ("Transient", "http_500")),
            (503, ("Transient", "http_503")),
        ],
    )
    def test_each_status_has_its_class_and_reason(
        self, server: HttpServer, status: int, expected: tuple[str, str]
    ) -> None:
        url = server.behave("/x", http.status(status))
        assert failure_of(source_of(server), url) == expected

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refusal_at_the_configured_source_costs_its_image_an_attempt_and_is_not_an_outage(
        self, server: HttpServer, status: int
    ) -> None:
        """A message chooses the path, and must not be able to park the workers with one that is closed."""
        url = server.behave("/x", http.status(status))
        error = refusal(source_of(server, configured=server.url), url)
        assert (type(error), str(error)) == (Transient, f"forbidden: 127.0.0.1 answered {status}")

    def test_an_error_contains_host_and_status_but_not_the_query(self, server: HttpServer) -> None:
        for status in (301, 400, 403, 404, 503):
            server.behave("/photo.jpg", http.status(status))
            error = refusal(source_of(server), f"{server.url}/photo.jpg?X-Amz-Signature=s3cr3t")
            assert "127.0.0.1" in str(error)
            assert "s3cr3t" not in str(error)
            assert "photo" not in str(error)


class TestAddress:
    @pytest.mark.parametrize(
        "url",
        [
            METADATA,
            "http://127.0.0.1/x",
            "http://localhost/x",
            "http://[::1]/x",
            "http://[::ffff:169.254.169.254]/x",
            "http://2130706433/x",
            "http://0x7f.1/x",
            "http://0/x",
            "https://10.0.0.1/x",
            "http://127.0.0.1:22/x",
        ],
    )
    def test_a_private_address_is_rejected_in_every_notation(self, url: str) -> None:
        assert failure_of(strict_source(), url) == ("Rejected", "address_not_allowed")

    def test_a_name_that_resolves_to_a_private_address_is_rejected(self, names: Names) -> None:
        names.resolve("photos.example", "169.254.169.254")
        assert failure_of(strict_source(), "http://photos.example/x") == ("Rejected", "address_not_allowed")

    def test_a_rejected_address_is_never_connected_to(self, server: HttpServer, names: Names) -> None:
        names.resolve("photos.example", "127.0.0.1")
        refusal(strict_source(), f"http://photos.example:{server.port}/x")
        assert server.connections == 0

    def test_a_name_that_resolves_to_another_address_a_moment_later_gains_nothing(
        self, server: HttpServer, names: Names
    ) -> None:
        """DNS rebinding: the connection is made to the address that was checked, without a second look-up."""
        names.resolve("photos.example", "192.0.2.1", "127.0.0.1")
        names.resolve("photos.example", "127.0.0.1")
        source = strict_source("192.0.2.0/24")
        limits = replace(LIMITS, timeout_s=0.2)
        assert failure_of(source, f"http://photos.example:{server.port}/x", limits)[0] == "Transient"
        assert names.asked == ["photos.example"]
        assert server.connections == 0

    def test_a_host_in_private_hosts_may_be_private(self, server: HttpServer, names: Names) -> None:
        names.resolve("photos.internal", "127.0.0.1")
        server.place("photo.jpg", b"x")
        source = strict_source("photos.internal")
        assert source.fetch(f"http://photos.internal:{server.port}/photo.jpg", LIMITS) == b"x"

    def test_the_second_address_is_tried_if_the_first_does_not_answer(
        self, server: HttpServer, names: Names
    ) -> None:
        names.resolve("photos.internal", "127.0.0.9", "127.0.0.1")
        server.place("photo.jpg", b"x")
        source = strict_source("photos.internal")
        assert source.fetch(f"http://photos.internal:{server.port}/photo.jpg", LIMITS) == b"x"

    def test_a_proxy_of_the_environment_is_not_used(
        self, server: HttpServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert source_of(server).fetch(server.place("photo.jpg", b"x"), LIMITS) == b"x"

    def test_a_uri_with_a_password_is_rejected_and_the_password_is_not_quoted(
        self, server: HttpServer
    ) -> None:
        error = refusal(source_of(server), f"http://ann:s3cr3t@127.0.0.1:{server.port}/x")
        assert getattr(error, "reason", "") == "bad_uri"
        assert "s3cr3t" not in str(error)
        assert server.connections == 0

    @pytest.mark.parametrize(
        "url", ["http://", "http:///x", "http://[/x", "http://a:b/x", "http://a:99999/x"]
    )
    def test_an_invalid_url_is_rejected(self, url: str) -> None:
        assert failure_of(strict_source(), url) == ("Rejected", "bad_uri")


class TestRedirects:
    def test_a_redirect_is_followed(self, server: HttpServer) -> None:
        server.place("photo.jpg", b"x")
        for number in (301, 302, 303, 307, 308):
            url = server.behave("/from", http.redirect("/photo.jpg", number))
            assert source_of(server).fetch(url, LIMITS) == b"x"

    def test_five_redirects_are_followed_and_a_sixth_is_not(self, server: HttpServer) -> None:
        server.place("photo.jpg", b"x")
        for left in range(1, 7):
            server.behave(f"/{left}", http.redirect(f"/{left - 1}" if left > 1 else "/photo.jpg"))
        assert source_of(server).fetch(f"{server.url}/5", LIMITS) == b"x"
        assert failure_of(source_of(server), f"{server.url}/6") == ("Rejected", "too_many_redirects")

    def test_a_redirect_to_itself_ends(self, server: HttpServer) -> None:
        url = server.behave("/loop", http.redirect("/loop"))
        assert failure_of(source_of(server), url) == ("Rejected", "too_many_redirects")
        assert len(server.requests) == 6

    @pytest.mark.parametrize("target", [METADATA, "//169.254.169.254/latest/", "http://localhost:1/x"])
    def test_a_redirect_to_a_private_address_is_rejected(self, server: HttpServer, target: str) -> None:
        url = server.behave("/x", http.redirect(target))
        assert failure_of(source_of(server), url) == ("Rejected", "address_not_allowed")

    def test_a_redirect_to_a_name_that_resolves_to_a_private_address_is_rejected(
        self, server: HttpServer, names: Names
    ) -> None:
        names.resolve("evil.example", "169.254.169.254")
        url = server.behave("/x", http.redirect("http://evil.example/x"))
        assert failure_of(source_of(server), url) == ("Rejected", "address_not_allowed")

    @pytest.mark.parametrize(
        "target", ["file:///etc/passwd", "s3://bucket/key", "ftp://1.1.1.1/x", "data:image/png;base64,AA=="]
    )
    def test_a_redirect_to_another_scheme_is_rejected(self, server: HttpServer, target: str) -> None:
        url = server.behave("/x", http.redirect(target))
        assert failure_of(source_of(server), url) == ("Rejected", "redirect_not_allowed")

    @pytest.mark.parametrize("target", ["http://[", "https://a:b/x"])
    def test_a_redirect_to_an_invalid_url_is_rejected(self, server: HttpServer, target: str) -> None:
        assert failure_of(source_of(server), server.behave("/x", http.redirect(target)))[0] == "Rejected"

    def test_a_redirect_without_a_location_is_rejected(self, server: HttpServer) -> None:
        assert failure_of(source_of(server), server.behave("/x", http.status(302))) == (
            "Rejected",
            "http_302",
        )

    def test_all_redirects_share_the_time_of_one_fetch(self, server: HttpServer) -> None:
        def late(handler: http._Handler) -> None:
            time.sleep(0.3)
            handler.answer(302, Location="/late")

        url = server.behave("/late", late)
        begun_s = time.monotonic()
        assert failure_of(source_of(server), url, replace(LIMITS, timeout_s=0.5)) == ("Transient", "timeout")
        assert time.monotonic() - begun_s < 5


class TestBounds:
    @pytest.mark.parametrize("behaviour", [http.slow_drip, http.slow_headers, http.says_nothing])
    def test_an_answer_that_never_ends_is_ended_in_time(
        self, server: HttpServer, behaviour: http.Behaviour
    ) -> None:
        url = server.behave("/x", behaviour)
        begun_s = time.monotonic()
        assert failure_of(source_of(server), url, replace(LIMITS, timeout_s=0.4)) == ("Transient", "timeout")
        assert 0.35 < time.monotonic() - begun_s < 5

    @pytest.mark.parametrize("behaviour", [http.endless, http.endless_chunks])
    def test_a_body_without_an_end_is_refused_at_the_limit(
        self, server: HttpServer, behaviour: http.Behaviour
    ) -> None:
        assert failure_of(source_of(server), server.behave("/x", behaviour)) == ("Rejected", "too_many_bytes")

    def test_too_many_bytes_are_refused_before_they_are_read(self, server: HttpServer) -> None:
        url = server.behave("/x", http.announces(1 << 40, b"x"))
        assert failure_of(source_of(server), url) == ("Rejected", "too_many_bytes")

    @pytest.mark.parametrize("behaviour", [http.announces(900, b"x" * 10), http.reset, http.hangs_up])
    def test_an_answer_that_breaks_off_is_transient(
        self, server: HttpServer, behaviour: http.Behaviour
    ) -> None:
        url = server.behave("/x", behaviour)
        assert failure_of(source_of(server), url) == ("Transient", "connection_reset")

    @pytest.mark.parametrize("behaviour", [http.announces(900, b"x" * 10), http.reset, http.hangs_up])
    def test_an_answer_that_broke_off_is_asked_for_once_more(
        self, server: HttpServer, behaviour: http.Behaviour
    ) -> None:
        url = server.behave("/x", http.once(behaviour, http.status(200, PHOTO)))
        assert source_of(server).fetch(url, LIMITS) == PHOTO

    def test_an_answer_that_breaks_off_is_not_asked_for_a_third_time(self, server: HttpServer) -> None:
        failure_of(source_of(server), server.behave("/x", http.reset))
        assert len(server.requests) == 2

    def test_an_answer_that_broke_off_when_time_was_up_is_not_asked_for_again(
        self, server: HttpServer
    ) -> None:
        limits = replace(LIMITS, timeout_s=SECOND_TRY_AFTER_S)
        url = server.behave("/x", http.reset)
        assert failure_of(source_of(server), url, limits) == ("Transient", "connection_reset")
        assert len(server.requests) == 1

    def test_an_answer_broken_off_by_a_configured_source_that_goes_down_is_an_outage(
        self, server: HttpServer
    ) -> None:
        """No image spends an attempt on an outage."""

        def goes_down(handler: http._Handler) -> None:
            server.stop()
            http.reset(handler)

        url = server.behave("/x", goes_down)
        try:
            error = refusal(source_of(server, configured=server.url), url)
        finally:
            server.start()
        assert str(error) == "source unavailable: 127.0.0.1: Connection refused"

    def test_an_answer_that_is_not_http_is_transient(self, server: HttpServer) -> None:
        assert failure_of(source_of(server), server.behave("/x", http.no_http))[0] == "Transient"

    def test_no_compression_is_asked_for(self, server: HttpServer) -> None:
        source_of(server).fetch(server.place("photo.jpg", b"x"), LIMITS)
        assert server.requests[0].headers["Accept-Encoding"] == "identity"


class TestContentEncoding:
    @pytest.mark.parametrize(
        ("encoding", "body"),
        [
            ("gzip", gzip.compress(PHOTO)),
            ("GZip", gzip.compress(PHOTO)),
            ("x-gzip", gzip.compress(PHOTO)),
            ("gzip", gzip.compress(PHOTO[:100]) + gzip.compress(PHOTO[100:])),
            ("deflate", zlib.compress(PHOTO)),
            ("deflate", zlib.compress(PHOTO, wbits=-15)),
            ("identity", PHOTO),
            ("", PHOTO),
        ],
        ids=["gzip", "capitals", "old name", "two members", "deflate", "raw deflate", "identity", "empty"],
    )
    def test_an_original_that_comes_packed_is_unpacked(
        self, server: HttpServer, encoding: str, body: bytes
    ) -> None:
        url = server.behave("/x", http.status(200, body, Content_Encoding=encoding))
        assert source_of(server).fetch(url, LIMITS) == PHOTO

    @pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "aes128gcm"])
    def test_any_other_encoding_is_rejected_by_its_name(self, server: HttpServer, encoding: str) -> None:
        error = refusal(
            source_of(server), server.behave("/x", http.status(200, PHOTO, Content_Encoding=encoding))
        )
        assert str(error) == f"content_encoding: it is encoded as {encoding}, which was not asked for"

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    def test_data_that_cannot_be_unpacked_are_rejected(self, server: HttpServer, encoding: str) -> None:
        url = server.behave("/x", http.status(200, PHOTO, Content_Encoding=encoding))
        assert str(refusal(source_of(server), url)) == (
            "content_encoding: 127.0.0.1 sent data that cannot be unpacked"
        )

    def test_the_limit_holds_for_the_unpacked_bytes(self, server: HttpServer) -> None:
        url = server.behave("/x", http.status(200, gzip.compress(PHOTO), Content_Encoding="gzip"))
        source = source_of(server)
        assert source.fetch(url, replace(LIMITS, max_bytes=len(PHOTO))) == PHOTO
        error = failure_of(source, url, replace(LIMITS, max_bytes=len(PHOTO) - 1))
        assert error == ("Rejected", "too_many_bytes")

    def test_a_bomb_is_refused_before_it_is_unpacked(self, server: HttpServer) -> None:
        url = server.behave("/x", http.gzip_bomb(100_000_000))
        source, limits = source_of(server), replace(LIMITS, max_bytes=1_000_000)
        tracemalloc.start()
        try:
            assert failure_of(source, url, limits) == ("Rejected", "too_many_bytes")
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak_bytes < 8_000_000


class TestUnreachable:
    def test_an_unknown_host_name_is_transient(self, names: Names) -> None:
        names.resolve("photos.example")
        assert failure_of(strict_source(), "http://photos.example/x") == ("Transient", "dns")

    def test_an_unknown_host_name_of_the_configured_source_is_an_outage(self, names: Names) -> None:
        names.resolve("photos.example")
        source = strict_source(configured=origin_of("http://photos.example/{image_id}"))
        error = refusal(source, "http://photos.example/x")
        assert str(error) == "source unavailable: photos.example cannot be resolved"

    def test_another_spelling_of_the_configured_host_is_the_matter_of_its_image(self, names: Names) -> None:
        """`photos.` is absolute, while `photos` may be completed by the search list of the resolver."""
        names.resolve("photos.")
        source = strict_source("photos", configured=origin_of("http://photos/{image_id}"))
        assert failure_of(source, "http://photos./x") == ("Transient", "dns")

    def test_a_server_that_refuses_connections_is_transient(self, server: HttpServer) -> None:
        source, url = source_of(server), server.place("photo.jpg", b"x")
        server.stop()
        assert failure_of(source, url) == ("Transient", "connection_failed")

    def test_a_configured_source_that_refuses_connections_is_an_outage(self, server: HttpServer) -> None:
        source, url = source_of(server, configured=server.url), server.place("photo.jpg", b"x")
        server.stop()
        assert str(refusal(source, url)) == "source unavailable: 127.0.0.1: Connection refused"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def encrypted(authority: trustme.CA) -> Iterator[HttpServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HttpServer(tls=context) as started:
        yield started


class TestTls:
    @pytest.fixture
    def _trusted(self, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    def test_another_scheme_than_the_configured_one_is_the_matter_of_its_image(self) -> None:
        with HttpServer() as plain:
            source = source_of(plain, configured=plain.url)
            url = plain.place("photo.jpg", b"x").replace("http:", "https:")
            assert failure_of(source, url) == ("Transient", "tls")

    @pytest.mark.usefixtures("_trusted")
    def test_a_certificate_that_verifies_is_accepted(self, encrypted: HttpServer) -> None:
        assert source_of(encrypted).fetch(encrypted.place("photo.jpg", b"x"), LIMITS) == b"x"

    def test_a_certificate_that_does_not_verify_is_rejected_before_any_request(
        self, encrypted: HttpServer
    ) -> None:
        url = encrypted.place("photo.jpg", b"x")
        error = refusal(source_of(encrypted), url)
        assert isinstance(error, Transient)
        assert (error.reason, encrypted.requests) == ("tls", [])
        assert "127.0.0.1: " in error.detail

    def test_a_certificate_of_the_configured_source_that_does_not_verify_is_an_outage(
        self, encrypted: HttpServer
    ) -> None:
        url = encrypted.place("photo.jpg", b"x")
        error = refusal(source_of(encrypted, configured=encrypted.url), url)
        assert isinstance(error, Unavailable)
        assert "certificate" in error.reason

    @pytest.mark.usefixtures("_trusted")
    def test_a_certificate_for_another_name_is_rejected(self, encrypted: HttpServer, names: Names) -> None:
        names.resolve("photos.example", "127.0.0.1")
        url = f"https://photos.example:{encrypted.port}/x"
        assert failure_of(strict_source("photos.example"), url) == ("Transient", "tls")

    @pytest.mark.usefixtures("_trusted")
    def test_a_redirect_from_https_to_http_is_rejected(
        self, encrypted: HttpServer, server: HttpServer
    ) -> None:
        url = encrypted.behave("/x", http.redirect(server.place("photo.jpg", b"x")))
        assert failure_of(source_of(encrypted, server), url) == ("Rejected", "redirect_not_allowed")
        assert server.connections == 0

    @pytest.mark.usefixtures("_trusted")
    def test_a_redirect_from_http_to_https_is_followed(
        self, encrypted: HttpServer, server: HttpServer
    ) -> None:
        url = server.behave("/x", http.redirect(encrypted.place("photo.jpg", b"x")))
        assert source_of(encrypted, server).fetch(url, LIMITS) == b"x"

    @pytest.mark.usefixtures("_trusted")
    def test_an_encrypted_answer_that_comes_byte_by_byte_ends_in_time(self, encrypted: HttpServer) -> None:
        url = encrypted.behave("/x", http.slow_drip)
        begun_s = time.monotonic()
        assert failure_of(source_of(encrypted), url, replace(LIMITS, timeout_s=0.5)) == (
            "Transient",
            "timeout",
        )
        assert time.monotonic() - begun_s < 5

    def test_a_tls_handshake_that_never_ends_ends_in_a_timeout(self, server: HttpServer) -> None:
        url = server.url.replace("http:", "https:") + "/x"
        begun_s = time.monotonic()
        assert failure_of(source_of(server), url, replace(LIMITS, timeout_s=0.5))[0] == "Transient"
        assert time.monotonic() - begun_s < 5


class TestConnections:
    def test_one_connection_serves_many_fetches(self, server: HttpServer) -> None:
        source, url = source_of(server), server.place("photo.jpg", b"x")
        for _ in range(20):
            source.fetch(url, LIMITS)
        assert server.connections == 1

    @pytest.mark.parametrize("content", [b"", b"x", b"x" * 70_000])
    def test_the_connection_is_kept_after_an_answer_of_any_length(
        self, server: HttpServer, content: bytes
    ) -> None:
        source, url = source_of(server), server.place("photo.jpg", content)
        for _ in range(3):
            source.fetch(url, replace(LIMITS, max_bytes=100_000))
        assert server.connections == 1

    def test_the_connection_is_kept_after_a_404_and_a_redirect(self, server: HttpServer) -> None:
        source, url = source_of(server), server.place("photo.jpg", b"x")
        moved = server.behave("/moved", http.redirect("/photo.jpg"))
        for _ in range(3):
            refusal(source, f"{server.url}/absent.jpg")
            source.fetch(moved, LIMITS)
            source.fetch(url, LIMITS)
        assert server.connections == 1

    def test_the_rest_of_a_rejected_answer_is_not_read_as_the_next_one(self, server: HttpServer) -> None:
        source = source_of(server)
        large, small = server.place("large.jpg", b"L" * 200_000), server.place("small.jpg", b"s")
        error = server.behave("/error", http.status(500, b"E" * 200_000))
        for _ in range(3):
            refusal(source, large)
            refusal(source, error)
            assert source.fetch(small, LIMITS) == b"s"

    def test_a_connection_that_the_server_has_closed_is_replaced(self, server: HttpServer) -> None:
        source, url = source_of(server), server.behave("/x", http.status(200, b"x", Connection="close"))
        for _ in range(3):
            assert source.fetch(url, LIMITS) == b"x"

    def test_threads_share_a_source_and_each_gets_its_own_answer(self, server: HttpServer) -> None:
        source = source_of(server)
        urls = [server.place(f"{number}.jpg", str(number).encode()) for number in range(40)]
        meeting = threading.Barrier(4)

        def fetch(url: str) -> bytes:
            meeting.wait(10)
            return source.fetch(url, LIMITS)

        with ThreadPoolExecutor(4) as threads:
            fetched = list(threads.map(fetch, urls))
        assert fetched == [str(number).encode() for number in range(40)]
        assert server.connections <= 4

    def test_nothing_is_logged(self, server: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        source = source_of(server)
        for behaviour in (http.reset, http.status(404), http.no_http, http.redirect("/y?sig=s3cr3t")):
            refusal(source, server.behave("/x", behaviour) + "?sig=s3cr3t")
        assert "s3cr3t" not in caplog.text
