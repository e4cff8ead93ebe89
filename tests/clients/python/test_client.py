"""The client against hosts that are full, down, slow and broken."""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
import trustme

from panopticon_client import Busy, Call, Client, ClientError, Rejected, Unavailable, Unexpected
from tests.clients.python.clocks import ChosenRandom, SteppedClock
from tests.clients.python.scripted_host import (
    ANALYSIS,
    Behaviour,
    ScriptedHost,
    busy_before_the_body,
    drips_body,
    drips_headers,
    halves,
    hangs,
    refuses,
    resets,
    says,
)
from tests.servers.ports import free_ports

TOKEN = "open-sesame-0123456789"
PATIENCE_S = 20.0
Start = Callable[..., ScriptedHost]


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that starts a host with a script."""
    with ExitStack() as hosts:
        yield lambda *script: hosts.enter_context(ScriptedHost(*script))


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def client(*hosts: ScriptedHost | str, **options: Any) -> Client:
    """Return a client that begins with the first host."""
    urls = [host if isinstance(host, str) else host.url for host in hosts]
    return Client(urls, **{"random": ChosenRandom(), "token": TOKEN, **options})


def nobody() -> str:
    """Return the URL of a port on which nothing listens."""
    (port,) = free_ports(1)
    return f"http://127.0.0.1:{port}"


def test_calls_go_to_the_hosts_in_turn(start: Start) -> None:
    hosts = [start(), start(), start()]
    with client(*hosts) as asking:
        answered = [asking.analyze(b"jpg").host for _ in range(6)]
    assert answered == [host.url for host in hosts] * 2


def test_an_analysis_has_the_answer_of_each_model(start: Start) -> None:
    with client(start()) as asking:
        found = asking.analyze(b"jpg")
    tagger, quality = found.models["tagger@1"], found.models["quality@2"]
    assert (found.image.sha256, found.image.width_px, found.image.uri) == ("ab" * 32, 4, None)
    assert tagger.tags is not None
    assert [(tag.label, tag.probability, tag.ancestors) for tag in tagger.tags] == [
        ("cat", 0.75, ("animal",))
    ]
    assert (tagger.digest, tagger.vector, tagger.error) == ("d1", (0.25, 0.75), None)
    assert quality.error is not None
    assert (quality.model, quality.version, quality.tags, quality.error.status) == ("quality", 2, None, 503)
    assert found.raw == ANALYSIS


def test_options_become_the_query_and_the_headers(start: Start) -> None:
    host = start()
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    with client(host) as asking:
        asking.analyze(
            b"jpg",
            models=["tagger", "quality@2"],
            top_k=0,
            vectors=True,
            lane="backfill",
            call=Call(timeout_s=5, request_id="mine", traceparent=trace),
        )
    (received,) = host.received
    assert received.path == "/v1/analyze?models=tagger%2Cquality%402&top_k=0&vectors=true"
    sent = {name: received.headers[name] for name in ("X-Panopticon-Lane", "X-Request-Id", "traceparent")}
    assert sent == {"X-Panopticon-Lane": "backfill", "X-Request-Id": "mine", "traceparent": trace}
    assert received.headers["Authorization"] == f"Bearer {TOKEN}"
    assert 4000 < int(received.headers["X-Request-Timeout-Ms"]) <= 5000


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_the_next_host_is_asked_at_once_after_a_status(
    status: int, start: Start, clock: SteppedClock
) -> None:
    first, second = start(refuses(status)), start()
    with client(first, second, clock=clock) as asking:
        assert asking.analyze(b"jpg").host == second.url
    assert clock.slept_s == []


@pytest.mark.parametrize("behaviour", [resets, halves])
def test_the_next_host_is_asked_at_once_after_a_broken_answer(
    behaviour: Behaviour, start: Start, clock: SteppedClock
) -> None:
    first, second = start(behaviour), start()
    with client(first, second, clock=clock) as asking:
        assert asking.analyze(b"jpg").host == second.url
    assert (clock.slept_s, len(first.received)) == ([], 1)


def test_the_next_host_is_asked_at_once_if_nothing_listens(start: Start, clock: SteppedClock) -> None:
    second = start()
    with client(nobody(), second, clock=clock) as asking:
        assert asking.analyze(b"jpg").host == second.url
    assert clock.slept_s == []


def test_a_host_that_does_not_answer_is_asked_last_by_the_next_calls(
    start: Start, clock: SteppedClock
) -> None:
    first, second, third = start(resets), start(), start()
    with client(first, second, third, clock=clock) as asking:
        answered = [asking.analyze(b"jpg").host for _ in range(5)]
        assert answered == [second.url, third.url, second.url, third.url, second.url]
        clock.sleep(10.0)
        assert first.url in [asking.analyze(b"jpg").host for _ in range(3)]


def test_a_busy_host_is_not_asked_before_the_time_it_named(start: Start, clock: SteppedClock) -> None:
    first, second = start(refuses(429, retry_after_ms=2500)), start()
    with client(first, second, clock=clock) as asking:
        for _ in range(4):
            asking.analyze(b"jpg")
        assert len(first.received) == 1
        clock.sleep(2.4)
        asking.analyze(b"jpg")
        assert len(first.received) == 1
        clock.sleep(0.1)
        asking.analyze(b"jpg")
        assert len(first.received) == 2


def test_if_all_hosts_rest_the_call_waits_for_the_first_of_them(start: Start, clock: SteppedClock) -> None:
    first, second = start(refuses(429, retry_after_ms=4000)), start(refuses(503, retry_after_ms=1500))
    with client(first, second, clock=clock) as asking:
        assert asking.analyze(b"jpg").host == second.url
    assert clock.slept_s == [1.5]
    assert (len(first.received), len(second.received)) == (1, 2)


def test_jitter_is_added_to_a_rest_and_never_taken_from_it(start: Start, clock: SteppedClock) -> None:
    host = start(*[refuses(429, retry_after_ms=wait_ms) for wait_ms in (10, 1000, 8000)])
    with client(host, clock=clock, random=ChosenRandom(0.5)) as asking:
        asking.analyze(b"jpg")
    assert clock.slept_s == pytest.approx([0.06, 1.5, 9.0])


def test_the_header_is_obeyed_if_there_is_no_problem_document(start: Start, clock: SteppedClock) -> None:
    with client(start(says(503, [], Retry_After="7")), clock=clock) as asking:
        asking.analyze(b"jpg")
    assert clock.slept_s == [7.0]


def test_a_date_in_the_header_is_obeyed(start: Start, clock: SteppedClock) -> None:
    at = datetime.fromtimestamp(clock.time() + 9, UTC)
    host = start(says(503, {}, Retry_After=format_datetime(at, usegmt=True)))
    with client(host, clock=clock) as asking:
        asking.analyze(b"jpg")
    assert clock.slept_s == pytest.approx([9.0], abs=1.0)


@pytest.mark.parametrize("value", ["soon", "-5", "1e9", "²", "Fri, 99 Nov 2026 99:99:99 GMT"])
def test_a_header_without_sense_is_ignored(value: str, start: Start, clock: SteppedClock) -> None:
    host = start(says(503, {}, Retry_After=value.encode().decode("latin-1")))
    with client(host, clock=clock) as asking:
        asking.analyze(b"jpg")
    assert clock.slept_s == [0.0]


def test_full_gates_until_the_time_is_over_are_busy_and_say_when_to_come_back(
    start: Start, clock: SteppedClock
) -> None:
    full = refuses(429, detail="64 of 64 images", retry_after_ms=40_000)
    first, second = start(full), start(refuses(429, retry_after_ms=50_000))
    with client(first, second, clock=clock, timeout_s=30) as asking, pytest.raises(Busy) as caught:
        asking.analyze(b"jpg")
    assert caught.value.retry_after_s == 40.0
    assert f"{first.url}: 429 64 of 64 images" in str(caught.value)
    assert second.url in str(caught.value)
    # Nothing is gained by waiting for a time at which nobody may be asked.
    assert clock.slept_s == []


def test_a_call_that_finds_all_hosts_resting_asks_none_and_says_why(
    start: Start, clock: SteppedClock
) -> None:
    host = start(refuses(429, retry_after_ms=40_000))
    with client(host, clock=clock) as asking:
        for _ in range(2):
            with pytest.raises(Busy, match=f"{host.url}: 429"):
                asking.analyze(b"jpg")
    assert len(host.received) == 1


def test_busy_hosts_use_up_no_attempt(start: Start, clock: SteppedClock) -> None:
    host = start(*[refuses(429, retry_after_ms=100)] * 20)
    with client(host, clock=clock, attempts=1) as asking:
        asking.analyze(b"jpg")
    assert len(host.received) == 21


def test_the_pause_between_rounds_doubles_up_to_its_limit_with_full_jitter(clock: SteppedClock) -> None:
    random = ChosenRandom(0.5)
    with client(nobody(), clock=clock, random=random, attempts=8) as asking, pytest.raises(Unavailable):
        asking.analyze(b"jpg")
    assert random.ranges == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    assert clock.slept_s == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_a_round_asks_every_host_once_and_attempts_are_rounds(start: Start, clock: SteppedClock) -> None:
    hosts = [start(*[refuses(503)] * 3), start(*[refuses(502)] * 3)]
    with client(*hosts, clock=clock, attempts=3) as asking, pytest.raises(Unavailable) as caught:
        asking.analyze(b"jpg")
    assert [len(host.received) for host in hosts] == [3, 3]
    assert len(clock.slept_s) == 2
    assert all(f"{host.url}: 50" in str(caught.value) for host in hosts)


def test_a_long_list_of_failures_is_cut_short(clock: SteppedClock) -> None:
    with client(*[nobody() for _ in range(7)], clock=clock, attempts=1) as asking:
        with pytest.raises(Unavailable, match="no connection: Connection refused.*; and 2 more") as caught:
            asking.analyze(b"jpg")
        assert str(caught.value).count("refused") == 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 422])
def test_a_rejected_request_is_sent_to_one_host_once(status: int, start: Start) -> None:
    first = start(refuses(status, reason="undecodable", detail="no picture"))
    second = start()
    with client(first, second) as asking, pytest.raises(Rejected) as caught:
        asking.analyze(b"jpg")
    assert (caught.value.status, caught.value.reason, caught.value.host) == (status, "undecodable", first.url)
    assert str(caught.value).startswith(f"{first.url}: {status} undecodable: no picture (request ")
    assert caught.value.request_id == first.received[0].headers["X-Request-Id"]
    assert (len(first.received), len(second.received)) == (1, 0)


def test_the_problem_of_a_refusal_is_complete(start: Start) -> None:
    host = start(refuses(400, slug="invalid-parameter", parameter="top_k", value="x", allowed="1 to 1000"))
    with client(host) as asking, pytest.raises(Rejected) as caught:
        asking.analyze(b"jpg")
    problem = caught.value.problem
    assert (problem.type, problem.title) == ("/v1/problems/invalid-parameter", "invalid-parameter")
    assert problem.raw["allowed"] == "1 to 1000"


def test_a_bug_of_a_host_is_reported_and_not_repeated(start: Start) -> None:
    first, second = start(refuses(500, detail="KeyError")), start()
    with client(first, second) as asking, pytest.raises(Unexpected, match="500 KeyError"):
        asking.analyze(b"jpg")
    assert second.received == []


def test_a_redirect_is_not_followed_with_the_token(start: Start) -> None:
    other = start()
    host = start(says(307, {}, Location=f"{other.url}/v1/analyze"))
    with client(host) as asking, pytest.raises(Unexpected, match="307"):
        asking.analyze(b"jpg")
    assert other.received == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "not a JSON object"),
        ({"image": {}}, "lacks 'models'"),
        ({"image": {}, "models": []}, "another form"),
        ({"image": {}, "models": {"a@1": {"tags": [{}]}}}, "lacks 'label'"),
    ],
)
def test_an_answer_of_another_form_is_unexpected_and_names_what_is_wrong(
    value: object, said: str, start: Start
) -> None:
    host = start(says(200, value))
    with client(host) as asking, pytest.raises(Unexpected, match=said) as caught:
        asking.analyze(b"jpg")
    assert host.url in str(caught.value)


def test_a_repeated_request_is_the_same_request_with_less_time(start: Start, clock: SteppedClock) -> None:
    host = start(refuses(429, retry_after_ms=10_000), resets)
    with client(host, clock=clock, timeout_s=30) as asking:
        asking.analyze(b"the bytes")
    assert {(each.headers["X-Request-Id"], each.body) for each in host.received} == {
        (host.received[0].headers["X-Request-Id"], b"the bytes")
    }
    assert [int(each.headers["X-Request-Timeout-Ms"]) for each in host.received] == [30_000, 20_000, 20_000]


def test_each_call_has_an_id_of_its_own(start: Start) -> None:
    host = start()
    with client(host) as asking:
        found = [asking.analyze(b"jpg").request_id for _ in range(2)]
    assert found == [each.headers["X-Request-Id"] for each in host.received]
    assert len(set(found)) == 2


@pytest.mark.parametrize("behaviour", [hangs, drips_headers, drips_body])
def test_a_slow_host_ends_with_the_time_of_the_call(behaviour: Behaviour, start: Start) -> None:
    host = start(behaviour)
    started_s = time.monotonic()
    with client(host, timeout_s=0.5) as asking, pytest.raises(Unavailable, match="no answer within 0.5 s"):
        asking.analyze(b"jpg")
    # Dripping would take half an hour; this measures that the deadline holds, not speed.
    assert time.monotonic() - started_s < PATIENCE_S


def test_a_host_that_reads_nothing_ends_with_the_time_of_the_call(start: Start) -> None:
    def reads_nothing(handler: Any) -> None:
        released.wait(PATIENCE_S)

    released = threading.Event()
    reads_nothing.before_the_body = True  # type: ignore[attr-defined]
    host = start(reads_nothing)
    with client(host, timeout_s=0.5) as asking, pytest.raises(Unavailable, match="no answer within 0.5 s"):
        asking.analyze(bytes(30_000_000))
    released.set()


def test_after_the_longest_wait_for_one_host_another_is_asked(start: Start) -> None:
    first, second = start(hangs), start()
    with client(first, second, attempt_timeout_s=0.3) as asking:
        assert asking.analyze(b"jpg").host == second.url
    assert int(first.received[0].headers["X-Request-Timeout-Ms"]) == 300


def test_an_answer_that_comes_before_the_body_is_read_is_seen(start: Start, clock: SteppedClock) -> None:
    first, second = start(busy_before_the_body), start()
    content = bytes(20_000_000)
    with client(first, second, clock=clock) as asking:
        assert asking.analyze(content).host == second.url
        assert len(second.received[0].body) == len(content)
        # It was seen as busy, not as broken: it rests.
        assert [asking.analyze(b"jpg").host for _ in range(3)] == [second.url] * 3
        assert len(first.received) == 1


def test_hosts_that_are_full_of_backfills_are_asked_for_live_images(
    start: Start, clock: SteppedClock
) -> None:
    host = start(refuses(429, retry_after_ms=60_000))
    with client(host, clock=clock) as asking:
        with pytest.raises(Busy):
            asking.analyze(b"jpg", lane="backfill")
        assert asking.analyze(b"jpg").host == host.url


def test_connections_are_kept(start: Start) -> None:
    host = start()
    with client(host) as asking:
        for _ in range(5):
            asking.analyze(b"jpg")
    assert len({each.peer_port for each in host.received}) == 1


def test_a_kept_connection_that_the_host_has_closed_costs_no_call(start: Start, clock: SteppedClock) -> None:
    def closes(handler: Any) -> None:
        says(200, ANALYSIS)(handler)
        handler.close_connection = True

    host = start(closes)
    with client(host, clock=clock) as asking:
        for _ in range(2):
            asking.analyze(b"jpg")


def test_many_threads_share_a_client_and_its_hosts_evenly(start: Start) -> None:
    hosts = [start(), start(), start(), start()]
    with client(*hosts) as asking, ThreadPoolExecutor(16) as threads:
        answered = Counter(threads.map(lambda _: asking.analyze(b"jpg").host, range(80)))
    assert answered == {host.url: 20 for host in hosts}


def test_no_error_contains_the_token(start: Start, clock: SteppedClock) -> None:
    scripts: list[list[Behaviour]] = [[refuses(422)], [refuses(500)], [refuses(503)], [resets], [halves]]
    for script in scripts:
        with client(start(*script), clock=clock, attempts=1) as asking, pytest.raises(ClientError) as caught:
            asking.analyze(b"jpg")
        assert TOKEN not in f"{caught.value!r}{caught.value.__cause__!r}{vars(caught.value)}"


@pytest.mark.parametrize("token", ["two words", "line\r\nend", "ä"])
def test_a_token_that_no_header_can_hold_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ValueError, match="the token has a space") as caught:
        Client(["http://127.0.0.1:1"], token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("call", [Call(request_id="a b"), Call(traceparent="a\nb")])
def test_an_id_that_no_header_can_hold_is_refused(call: Call) -> None:
    with client(nobody()) as asking, pytest.raises(ValueError, match="must be ASCII without spaces"):
        asking.analyze(b"jpg", call=call)


@pytest.mark.parametrize(
    "url",
    ["10.0.0.1:8080", "ftp://a", "http://", "http://a/path", "http://a?x=1", "http://a:99999", "http://a:0"],
)
def test_a_host_that_is_not_a_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match="is not the URL of a host") as caught:
        Client([url])
    assert url in str(caught.value)


def test_a_password_in_the_url_of_a_host_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="is not the URL of a host") as caught:
        Client(["http://ann:secret@a"])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hosts": "http://a"},
        {"hosts": ["http://a"], "discover": "http://a"},
        {"hosts": ["http://a"], "timeout_s": 0},
        {"hosts": ["http://a"], "attempts": 0},
        {"hosts": ["http://a"], "attempt_timeout_s": 0},
    ],
)
def test_options_that_can_never_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Client(**options)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def secure_host(authority: trustme.CA, *script: Behaviour) -> ScriptedHost:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    return ScriptedHost(*script, tls=tls)


def test_a_host_with_tls_is_trusted_by_its_authority(authority: trustme.CA) -> None:
    with authority.cert_pem.tempfile() as ca_certs, secure_host(authority) as host:
        with client(host, ca_certs=ca_certs) as asking:
            assert [asking.analyze(bytes(1_000_000)).host for _ in range(2)] == [host.url] * 2
        assert len({each.peer_port for each in host.received}) == 1


def test_a_host_with_tls_that_nobody_vouches_for_gets_no_request(
    authority: trustme.CA, clock: SteppedClock
) -> None:
    with secure_host(authority) as host:
        with (
            client(host, clock=clock, attempts=1) as asking,
            pytest.raises(Unavailable, match="TLS failed: "),
        ):
            asking.analyze(b"jpg")
        assert host.received == []


@pytest.mark.parametrize("behaviour", [hangs, drips_headers, drips_body])
def test_a_slow_host_with_tls_ends_with_the_time_of_the_call(
    behaviour: Behaviour, authority: trustme.CA
) -> None:
    with authority.cert_pem.tempfile() as ca_certs, secure_host(authority, behaviour) as host:
        asking = client(host, ca_certs=ca_certs, timeout_s=0.5)
        with asking, pytest.raises(Unavailable, match="no answer within 0.5 s"):
            asking.analyze(b"jpg")
