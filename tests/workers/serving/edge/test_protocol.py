from __future__ import annotations

import inspect
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httptools
import pytest
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tests.workers.serving.edge.service import (
    LARGE_BYTES,
    MAX_BODY_BYTES,
    Service,
    answer,
    get,
    is_closed,
    request,
    serving,
    wait_until,
)
from workers.serving.edge.address import allow_open_files
from workers.serving.edge.limits import EdgeLimits

READ_BYTES = 256 * 1024
"""The most that uvloop reads at once."""
LIMITS = EdgeLimits(
    header_timeout_s=5.0, keep_alive_s=5.0, read_answer_s=5.0, max_header_bytes=8192, max_connections=64
)


def limits(**changes: float) -> EdgeLimits:
    values = {name: getattr(LIMITS, name) for name in EdgeLimits.__dataclass_fields__}
    return EdgeLimits(**{**values, **changes})


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(LIMITS) as service:
        yield service


def refusal(client: socket.socket) -> tuple[int, str]:
    """Return status and slug of a problem after which the connection is closed."""
    got = answer(client)
    assert got.headers["content-type"] == "application/problem+json"
    assert got.headers["connection"] == "close"
    problem = json.loads(got.body)
    assert problem["request_id"] == got.headers["x-request-id"]
    assert problem["status"] == got.status
    assert is_closed(client)
    return got.status, problem["type"].removeprefix("/v1/problems/")


# What the class relies on in uvicorn


def test_uvicorn_still_has_what_the_protocol_builds_on() -> None:
    """The protocol overrides and reads parts of uvicorn that are not its interface."""
    assert list(inspect.signature(HttpToolsProtocol.__init__).parameters)[1:] == [
        "config",
        "server_state",
        "app_state",
        "_loop",
    ]
    methods = {
        "connection_made",
        "connection_lost",
        "data_received",
        "on_message_begin",
        "on_url",
        "on_header",
        "on_headers_complete",
        "on_body",
        "on_message_complete",
        "on_response_complete",
        "_start_asgi_task",
        "shutdown",
        "pause_writing",
        "resume_writing",
    }
    assert methods <= vars(HttpToolsProtocol).keys()
    source = inspect.getsource(httptools_impl)
    for line in (
        "on_response=self.on_response_complete,",
        "self.pipeline.appendleft((self.cycle, app))",
        "cycle, app = self.pipeline.pop()",
        "if len(self.cycle.body) > HIGH_WATER_LIMIT:",
        "if existing_cycle is None or existing_cycle.response_complete:",
        "if self.disconnected:",
    ):
        assert line in source, line
    attributes = {"disconnected", "keep_alive", "message_event", "response_started", "response_complete"}
    written = inspect.getsource(RequestResponseCycle.__init__)
    assert [name for name in attributes if f"self.{name} = " not in written] == []


def test_what_a_callback_raises_is_found_in_the_error_of_the_parser() -> None:
    class Callbacks:
        def on_url(self, _url: bytes) -> None:
            raise KeyError("here")

    with pytest.raises(httptools.HttpParserCallbackError) as raised:
        httptools.HttpRequestParser(Callbacks()).feed_data(get("/"))
    assert isinstance(raised.value.__context__, KeyError)


# Requests that are answered


def test_requests_follow_each_other_on_one_connection(service: Service) -> None:
    with service.connect() as client:
        for _ in range(3):
            client.sendall(request("POST", "/body", "Content-Length: 3", body=b"abc"))
            assert answer(client).body == b"3"


def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/body", "Content-Length: 2", body=b"ab") + get("/") + get("/headers"))
        assert [answer(client).body for _ in range(3)] == [b"2", b"ok", b"host=here"]


def test_requests_that_come_byte_by_byte_are_answered_alike(service: Service) -> None:
    sent = request("POST", "/body", "Content-Length: 3", body=b"abc") + get("/headers", "X-Value: 1")
    with service.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(sent)):
            client.sendall(sent[at : at + 1])
        assert [answer(client).body for _ in range(2)] == [b"3", b"host=here\nx-value=1"]


def test_a_small_body_is_one_piece_however_it_comes(service: Service) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/body", "Content-Length: 100"))
        for _ in range(4):
            # Long enough for the service to read it before the next piece comes.
            time.sleep(0.05)
            client.sendall(b"x" * 25)
        assert answer(client).body == b"100"
    assert service.app.pieces == [100]


def test_of_a_large_body_no_more_is_held_than_the_application_has_read(service: Service) -> None:
    with service.connect() as client:
        client.sendall(
            request("POST", "/body", f"Content-Length: {MAX_BODY_BYTES}", body=b"x" * MAX_BODY_BYTES)
        )
        assert answer(client).body == b"%d" % MAX_BODY_BYTES
    assert max(service.app.pieces) <= HIGH_WATER_LIMIT + READ_BYTES


def test_an_http_1_0_request_is_answered_and_its_connection_closed(service: Service) -> None:
    with service.connect() as client:
        client.sendall(get("/", version="1.0"))
        assert answer(client).headers["connection"] == "close"
        assert is_closed(client)


def test_a_chunked_body_is_read_and_its_trailers_change_no_header(service: Service) -> None:
    chunks = b"3;name=value\r\nabc\r\n2\r\nde\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    with service.connect() as client:
        client.sendall(request("POST", "/body", "Transfer-Encoding: chunked", body=chunks))
        assert answer(client).body == b"5"
        client.sendall(request("POST", "/headers", "Transfer-Encoding: chunked", body=chunks))
        assert b"authorization" not in answer(client).body


def test_a_request_for_another_protocol_is_answered_in_http_1_1(service: Service) -> None:
    with service.connect() as client:
        client.sendall(get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"))
        assert answer(client).status == 200
        assert is_closed(client)


def test_an_answer_without_the_body_being_read_keeps_the_connection_if_the_rest_is_short(
    service: Service,
) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/", "Content-Length: 50000", body=b"x" * 10))
        assert answer(client).body == b"ok"
        client.sendall(b"x" * 49_990 + get("/headers"))
        assert answer(client).body == b"host=here"


def test_an_answer_without_the_body_being_read_ends_the_connection_if_the_rest_is_long(
    service: Service,
) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/", "Content-Length: 10000000"))
        assert answer(client).body == b"ok"
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                client.sendall(b"x" * 10_000)
    wait_until(lambda: service.connections == 0, "the connection stays open")


def test_a_header_that_an_application_takes_from_a_request_cannot_end_its_line(service: Service) -> None:
    with service.connect() as client:
        client.sendall(get("/inject"))
        # The application has a bug then. uvicorn logs it, and sends nothing.
        assert is_closed(client)


# Requests that are refused


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET \xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://host HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT host:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rSet-Cookie: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /body HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\ngarbage\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ],
)
def test_a_request_that_is_not_http_or_may_be_read_in_two_ways_is_malformed(
    service: Service, sent: bytes
) -> None:
    with service.connect() as client:
        client.sendall(sent)
        assert refusal(client) == (400, "malformed-request")
    assert service.still_answers()


@pytest.mark.parametrize("codings", ["gzip, chunked", "xchunked, chunked"])
def test_a_transfer_coding_that_is_not_read_is_named(service: Service, codings: str) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/body", f"Transfer-Encoding: {codings}", body=b"0\r\n\r\n"))
        assert refusal(client) == (501, "not-implemented")
    assert service.app.seen == []


def test_a_malformed_request_behind_a_good_one_does_not_answer_in_its_place(service: Service) -> None:
    with service.connect() as client:
        client.sendall(get("/wait"))
        wait_until(lambda: service.app.seen != [], "the first request does not arrive")
        client.sendall(b"nonsense\r\n\r\n")
        wait_until(lambda: service.refused("malformed-request") == 1, "it is not seen")
        service.call(service.app.released.set)
        got = answer(client)
        assert (got.status, got.body, got.headers["connection"]) == (200, b"waited", "close")
        assert is_closed(client)


def test_garbage_in_a_body_is_answered_and_the_application_learns_that_no_more_comes(
    service: Service,
) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/body", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"))
        wait_until(lambda: service.app.seen != [], "the request does not arrive")
        client.sendall(b"zzz\r\n")
        assert refusal(client) == (400, "malformed-request")
        wait_until(lambda: service.app.left == ["/body"], "the application waits")
        # It need not wait until the connection has ended.
        assert service.connections == 1


@pytest.mark.parametrize(
    "sent",
    [
        get("/", *(f"X-{number}: {'v' * 100}" for number in range(640))),
        get("/", "X: " + "v" * 64 * 1024),
        get("/" + "p" * 64 * 1024),
        get("/?" + "q" * 64 * 1024),
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"v" * 300_000,
        request(
            "POST",
            "/body",
            "Transfer-Encoding: chunked",
            body=b"1\r\na\r\n0\r\n" + b"X-Trailer: v\r\n" * 5000,
        ),
    ],
    ids=["many", "one long", "path", "query", "without end", "trailers"],
)
def test_headers_beyond_the_limit_are_refused(service: Service, sent: bytes) -> None:
    with service.connect() as client:
        client.sendall(sent)
        assert refusal(client) == (431, "headers-too-large")
    assert service.still_answers()


def test_headers_up_to_the_limit_are_taken(service: Service) -> None:
    with service.connect() as client:
        client.sendall(get("/", "X: " + "v" * 8000))
        assert answer(client).status == 200


def test_too_many_pipelined_requests_end_the_connection_after_those_that_were_taken(service: Service) -> None:
    with service.connect() as client:
        client.sendall(get("/wait") + get("/") * 10_000)
        wait_until(lambda: service.app.seen != [], "the first request does not arrive")
        service.call(service.app.released.set)
        bodies = [answer(client).body for _ in range(1 + LIMITS.max_pipelined)]
        assert bodies == [b"waited"] + [b"ok"] * LIMITS.max_pipelined
        assert is_closed(client)
    assert len(service.app.seen) == 1 + LIMITS.max_pipelined


# Slow and silent clients


def test_headers_that_drip_are_answered_408_when_their_time_is_over() -> None:
    with serving(limits(header_timeout_s=0.5)) as service, service.connect() as client:
        client.settimeout(0.05)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        first = b""
        while not first:
            client.sendall(b"X-Drip: 1\r\n")
            try:
                first = client.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                # As slow loris does: each byte comes before any idle timer would end.
                assert service.still_answers()
        client.settimeout(5.0)
        assert refusal(client) == (408, "request-timeout")


def test_headers_that_drip_on_a_connection_that_was_used_before_time_out_too() -> None:
    with serving(limits(header_timeout_s=0.3)) as service, service.connect() as client:
        client.sendall(get("/") + b"GET / HT")
        assert answer(client).status == 200
        assert refusal(client) == (408, "request-timeout")


def test_a_client_that_sends_nothing_is_disconnected_without_an_answer() -> None:
    with serving(limits(header_timeout_s=0.2)) as service, service.connect() as client:
        assert is_closed(client)
        assert service.app.seen == []


def test_an_idle_connection_is_closed_even_if_it_sends_empty_lines() -> None:
    with serving(limits(keep_alive_s=0.3)) as service, service.connect() as client:
        client.sendall(get("/"))
        assert answer(client).status == 200
        client.settimeout(0.05)

        def is_ended() -> bool:
            try:
                client.sendall(b"\r\n")
                return client.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        wait_until(is_ended, "the connection stays open")


def test_a_request_whose_answer_takes_long_is_not_timed_out() -> None:
    with serving(limits(header_timeout_s=0.1, keep_alive_s=0.1)) as service, service.connect() as client:
        client.sendall(get("/wait"))
        with service.connect() as other:
            # Its own time for headers ends later than that of the first.
            assert is_closed(other)
        service.call(service.app.released.set)
        assert answer(client).body == b"waited"


@pytest.mark.parametrize(
    "sent", [get("/stream"), get("/large", "Connection: close")], ids=["in parts", "the last one"]
)
def test_a_client_that_does_not_read_its_answer_is_disconnected(sent: bytes) -> None:
    with serving(limits(read_answer_s=0.3)) as service, service.connect(rcvbuf=4096) as client:
        client.sendall(sent)
        wait_until(lambda: service.app.seen != [], "the request does not arrive")
        wait_until(lambda: service.connections == 0, "the connection stays open")


def test_a_long_answer_is_read_to_its_end() -> None:
    with serving(LIMITS) as service, service.connect() as client:
        client.sendall(get("/stream"))
        assert len(answer(client).body) == LARGE_BYTES


def test_a_body_that_ends_half_way_is_noticed(service: Service) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/body", "Content-Length: 1000", body=b"x" * 500))
        wait_until(lambda: service.app.seen != [], "the request does not arrive")
    wait_until(lambda: service.app.left == ["/body"], "the application waits")
    assert service.still_answers()


@pytest.mark.parametrize("size_bytes", [100, 200_000, 300_000, 400_000, MAX_BODY_BYTES])
def test_a_client_that_leaves_is_noticed_by_an_application_that_receives_nothing_more(
    service: Service, size_bytes: int
) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/present", f"Content-Length: {size_bytes}", body=b"x" * size_bytes))
        wait_until(lambda: sum(service.app.pieces) == size_bytes, "it has the body")
    wait_until(lambda: service.app.left == ["/present"], "it knows")


def test_a_client_that_leaves_with_pipelined_requests_takes_them_all_with_it(service: Service) -> None:
    with service.connect() as client:
        client.sendall(get("/wait") + get("/wait"))
        wait_until(lambda: service.app.seen != [], "the request does not arrive")
    wait_until(lambda: service.app.left == ["/wait"], "the application waits")
    assert len(service.app.seen) == 1


# Many connections


def test_a_thousand_idle_connections_disturb_nobody() -> None:
    # Both ends of each connection are files of this process.
    allow_open_files(2 * 1100)
    with serving(limits(max_connections=1100)) as service, ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(service.connect())
        wait_until(lambda: service.connections == 1000, "not all connections are accepted")
        assert all(service.still_answers() for _ in range(20))


def test_a_connection_beyond_the_limit_is_answered_busy_and_one_that_ends_makes_room() -> None:
    with serving(limits(max_connections=3)) as service, ExitStack() as stack:
        clients = [stack.enter_context(service.connect()) for _ in range(3)]
        wait_until(lambda: service.connections == 3, "not all connections are accepted")
        with service.connect() as late:
            assert refusal(late) == (503, "busy")
        with service.connect() as late:
            late.sendall(get("/"))
            got = answer(late)
            assert (got.status, got.headers["retry-after"]) == (503, "1")
        clients[0].close()
        wait_until(lambda: service.connections == 2, "the connection is not given up")
        assert service.still_answers()
        assert service.refused("busy") == 2
