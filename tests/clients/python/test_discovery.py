"""The list of hosts that the client learns from the deployment itself."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trustme

from panopticon_client import Client, Rejected, Unavailable, Unexpected
from tests.clients.python.clocks import ChosenRandom, SteppedClock
from tests.clients.python.scripted_host import Behaviour, ScriptedHost, lists, refuses, resets, says

PATIENCE_S = 20.0


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def source() -> Iterator[ScriptedHost]:
    with ScriptedHost() as host:
        yield host


@pytest.fixture
def first() -> Iterator[ScriptedHost]:
    with ScriptedHost() as host:
        yield host


@pytest.fixture
def second() -> Iterator[ScriptedHost]:
    with ScriptedHost() as host:
        yield host


def discovering(source: ScriptedHost, clock: SteppedClock, **options: Any) -> Client:
    return Client(discover=source.url, clock=clock, random=ChosenRandom(), **options)


def paths(host: ScriptedHost) -> list[str]:
    return [each.path for each in host.received]


def test_the_hosts_of_the_list_are_asked(
    source: ScriptedHost, first: ScriptedHost, second: ScriptedHost, clock: SteppedClock
) -> None:
    source.then(lists(first.url, second.url))
    with discovering(source, clock, token="t0ken") as asking:
        assert [asking.analyze(b"jpg").host for _ in range(4)] == [first.url, second.url] * 2
    assert paths(source) == ["/v1/hosts"]
    assert source.received[0].headers["Authorization"] == "Bearer t0ken"


def test_a_list_is_read_again_when_it_is_too_old_from_the_hosts_that_it_names(
    source: ScriptedHost, first: ScriptedHost, second: ScriptedHost, clock: SteppedClock
) -> None:
    source.then(lists(first.url, max_age_s=10))
    with discovering(source, clock) as asking:
        asking.analyze(b"jpg")
        clock.sleep(9.9)
        asking.analyze(b"jpg")
        assert paths(first).count("/v1/hosts") == 0
        clock.sleep(0.1)
        first.then(lists(second.url, max_age_s=10))
        assert asking.analyze(b"jpg").host == second.url
    assert paths(source) == ["/v1/hosts"]


@pytest.mark.parametrize(
    "answer", [refuses(503), refuses(401), resets, lists(), says(200, []), lists("no url"), says(200, {})]
)
def test_the_last_good_list_is_kept_when_no_newer_one_can_be_had(
    answer: Behaviour, source: ScriptedHost, first: ScriptedHost, clock: SteppedClock
) -> None:
    source.then(lists(first.url, max_age_s=10), answer)
    with discovering(source, clock) as asking:
        asking.analyze(b"jpg")
        clock.sleep(11.0)
        first.then(answer)
        assert asking.analyze(b"jpg").host == first.url
        # Not asked at every call while it fails, but soon again.
        asking.analyze(b"jpg")
        assert len(source.received) == 2
        clock.sleep(5.0)
        first.then(lists(source.url))
        assert asking.analyze(b"jpg").host == source.url


def test_calls_go_on_with_the_old_list_while_one_of_them_reads_the_new_one(
    source: ScriptedHost, first: ScriptedHost, clock: SteppedClock
) -> None:
    asked, released = threading.Event(), threading.Event()

    def waits(handler: Any) -> None:
        asked.set()
        released.wait(PATIENCE_S)
        lists(first.url)(handler)

    source.then(lists(first.url, max_age_s=10))
    with discovering(source, clock) as asking, ThreadPoolExecutor(1) as threads:
        asking.analyze(b"jpg")
        clock.sleep(11.0)
        first.then(waits)
        reading = threads.submit(asking.analyze, b"jpg")
        assert asked.wait(PATIENCE_S)
        assert asking.analyze(b"jpg").host == first.url
        assert not reading.done()
        released.set()
        assert reading.result(PATIENCE_S).host == first.url


def test_threads_that_begin_together_read_the_first_list_once(
    source: ScriptedHost, first: ScriptedHost, clock: SteppedClock
) -> None:
    source.then(lists(first.url))
    with discovering(source, clock) as asking, ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: asking.analyze(b"jpg").host, range(16)))
    assert (found, len(source.received)) == ({first.url}, 1)


def test_the_first_list_is_asked_for_again_within_the_time_of_the_call(
    source: ScriptedHost, first: ScriptedHost, clock: SteppedClock
) -> None:
    source.then(resets, refuses(503, retry_after_ms=3000), lists(first.url))
    with discovering(source, clock) as asking:
        assert asking.analyze(b"jpg").host == first.url
    assert clock.slept_s == [0.0, 3.0]


def test_without_a_first_list_the_call_says_which_host_was_asked_for_it(
    source: ScriptedHost, clock: SteppedClock
) -> None:
    source.then(resets, refuses(401, detail="no token"), lists())
    with discovering(source, clock, attempts=1) as asking:
        with pytest.raises(Unavailable, match=source.url):
            asking.analyze(b"jpg")
        with pytest.raises(Rejected, match=f"{source.url}: 401 no token"):
            asking.analyze(b"jpg")
        with pytest.raises(Unexpected, match="the list has no host"):
            asking.analyze(b"jpg")


def test_a_list_that_came_over_tls_must_not_name_hosts_without_it(clock: SteppedClock) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with authority.cert_pem.tempfile() as ca_certs, ScriptedHost(lists("http://10.0.0.1"), tls=tls) as host:
        asking = discovering(host, clock, ca_certs=ca_certs, token="t0ken")
        with asking, pytest.raises(Unexpected, match="without TLS"):
            asking.analyze(b"jpg")
