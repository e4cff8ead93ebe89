"""The list of hosts: its files, its DNS records, and what becomes of it when they cannot be read."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom

import pytest

from panopticon.errors import Unavailable, UsageError
from tests.clients.python.clocks import SteppedClock
from tests.servers.dnsmasq import NAME, Dnsmasq
from workers.serving.hosts import (
    FILE_AGAIN_S,
    FILE_MAX_AGE_S,
    MAX_FILE_BYTES,
    RETRY_S,
    HostList,
    Hosts,
    SrvRecord,
    open_hosts,
    order_records,
    parse_hosts,
    url_of,
)

PATIENCE_S = 20.0


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "the hosts"


@pytest.fixture
def server(tmp_path: Path) -> Dnsmasq:
    return Dnsmasq(tmp_path)


def of_file(file: Path, clock: SteppedClock) -> Hosts:
    return opened(file.as_uri(), clock)


def of_dns(server: Dnsmasq, clock: SteppedClock, options: str = "") -> Hosts:
    return opened(f"srv://{NAME}?resolver={server.resolver}{options}", clock)


def opened(setting: str, clock: SteppedClock) -> Hosts:
    hosts = open_hosts(setting, clock=clock)
    assert hosts is not None
    return hosts


def test_without_a_setting_there_is_no_list(clock: SteppedClock) -> None:
    assert open_hosts("", clock=clock) is None


def test_a_file_has_a_host_a_line_and_comments() -> None:
    text = """\ufeff
        # the two big ones
        http://10.0.0.1:8080
        HTTPS://Photos.Example/   # with TLS
        10.0.0.3:8080
        [2001:db8::1]:8080
        big_host-1:8080
        10.0.0.3:8080
    """
    assert parse_hosts(text, source="hosts", scheme="http") == (
        "http://10.0.0.1:8080",
        "https://photos.example",
        "http://10.0.0.3:8080",
        "http://[2001:db8::1]:8080",
        "http://big_host-1:8080",
    )


@pytest.mark.parametrize(
    "line",
    [
        "10.0.0.1",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:",
        "two words",
        "ftp://10.0.0.1:21",
        "http://10.0.0.1/path",
        "http://10.0.0.1?x=1",
        "http://",
        "2001:db8::1:8080",
        "a,b:80",
        "ü:80",
    ],
)
def test_a_bad_line_is_named_with_its_number(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_hosts(f"10.0.0.1:80\n\n{line}\n", source="/etc/hosts.list", scheme="http")
    assert str(caught.value) == (
        f"hosts file /etc/hosts.list, line 3: {line!r} is neither a URL such as http://10.0.0.1:8080 "
        "nor host:port"
    )


def test_a_password_in_a_line_is_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        parse_hosts("http://ann:secret@10.0.0.1:80", source="hosts", scheme="http")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n# none\n"])
def test_a_file_without_a_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="hosts file hosts: it names no host; write one a line"):
        parse_hosts(text, source="hosts", scheme="http")


def test_the_lines_without_a_scheme_have_that_of_the_setting(file: Path, clock: SteppedClock) -> None:
    file.write_text("10.0.0.1:8080\nhttp://10.0.0.2:8080\n")
    found = opened(f"{file.as_uri()}?tls=1", clock).current()
    assert found.urls == ("https://10.0.0.1:8080", "http://10.0.0.2:8080")


def test_a_file_is_read_again_when_it_may_have_changed(file: Path, clock: SteppedClock) -> None:
    file.write_text("10.0.0.1:8080")
    hosts = of_file(file, clock)
    assert hosts.current() == HostList(urls=("http://10.0.0.1:8080",), max_age_s=FILE_MAX_AGE_S)
    file.write_text("10.0.0.2:8080")
    clock.sleep(FILE_AGAIN_S)
    assert hosts.current().urls == ("http://10.0.0.2:8080",)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"10.0.0.1", b"#" * (MAX_FILE_BYTES + 1)],
    ids=["absent", "empty", "bad line", "too large"],
)
def test_the_last_good_list_stays_while_a_file_is_wrong_and_the_log_says_why_once(
    content: bytes | None, file: Path, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text("10.0.0.1:8080")
    hosts = of_file(file, clock)
    hosts.check()
    file.unlink() if content is None else file.write_bytes(content)
    for _ in range(3):
        clock.sleep(RETRY_S)
        assert hosts.current() == HostList(urls=("http://10.0.0.1:8080",), max_age_s=RETRY_S)
    (record,) = caplog.records
    assert f"hosts file {file}" in record.getMessage()
    file.write_text("10.0.0.2:8080")
    clock.sleep(RETRY_S)
    with caplog.at_level(logging.INFO):
        assert hosts.current() == HostList(urls=("http://10.0.0.2:8080",), max_age_s=FILE_MAX_AGE_S)
    assert "read again, 1 hosts" in caplog.text


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("10.0.0.1", "line 1: '10.0.0.1' is neither")]
)
def test_a_file_that_is_wrong_at_the_start_is_a_mistake_of_a_person(
    content: str | None, said: str, file: Path, clock: SteppedClock
) -> None:
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match=said):
        of_file(file, clock).check()


def test_records_are_listed_in_the_order_of_their_priority(server: Dnsmasq, clock: SteppedClock) -> None:
    server.records = ["c.example.test,8082,30,0", "A.example.test,8080,10,5", "b.example.test,8081,20,0"]
    with server.running():
        hosts = of_dns(server, clock)
        assert hosts.current().urls == (
            "http://a.example.test:8080",
            "http://b.example.test:8081",
            "http://c.example.test:8082",
        )
        assert of_dns(server, clock, "&tls=1").current().urls[0] == "https://a.example.test:8080"


def test_the_time_to_live_of_the_records_is_the_age_of_the_list(server: Dnsmasq, clock: SteppedClock) -> None:
    server.records, server.ttl_s = ["a.example.test,8080"], 40
    with server.running():
        hosts = of_dns(server, clock)
        assert hosts.current().max_age_s == 40
        clock.sleep(15.0)
        assert hosts.current().max_age_s == 25
    # Nobody is asked before that time: there is nobody any more.
    clock.sleep(24.5)
    assert hosts.current().max_age_s == 1


def test_records_are_asked_for_again_after_their_time_to_live(server: Dnsmasq, clock: SteppedClock) -> None:
    server.records, server.ttl_s = ["a.example.test,8080"], 40
    with server.running():
        hosts = of_dns(server, clock)
        hosts.current()
        server.stop()
        server.records = ["b.example.test,8081"]
        server.start()
        clock.sleep(40.0)
        assert hosts.current().urls == ("http://b.example.test:8081",)


def test_the_last_good_answer_stays_while_dns_is_down(
    server: Dnsmasq, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    server.records = ["a.example.test,8080"]
    with server.running():
        hosts = of_dns(server, clock)
        hosts.current()
    clock.sleep(100.0)
    assert hosts.current() == HostList(urls=("http://a.example.test:8080",), max_age_s=RETRY_S)
    assert f"DNS, SRV records of {NAME}" in caplog.text
    with server.running():
        clock.sleep(RETRY_S)
        assert hosts.current().max_age_s == 60


def test_records_that_were_deleted_leave_the_last_good_answer(server: Dnsmasq, clock: SteppedClock) -> None:
    server.records = ["a.example.test,8080"]
    with server.running():
        hosts = of_dns(server, clock)
        hosts.current()
        server.stop()
        server.records = []
        server.start()
        clock.sleep(100.0)
        assert hosts.current().urls == ("http://a.example.test:8080",)


def test_a_record_that_names_no_service_is_not_a_host(server: Dnsmasq, clock: SteppedClock) -> None:
    # RFC 2782: a target that is the root says that there is no such service. dnsmasq writes it as no target.
    server.records = [""]
    with server.running(), pytest.raises(Unavailable, match="none names a host"):
        of_dns(server, clock).current()


def test_dns_that_is_down_at_the_start_keeps_no_service_from_starting(
    server: Dnsmasq, clock: SteppedClock
) -> None:
    hosts = of_dns(server, clock)
    hosts.check()
    with pytest.raises(Unavailable, match=f"hosts unavailable: .*{NAME}"):
        hosts.current()
    server.records = ["a.example.test,8080"]
    with server.running():
        clock.sleep(RETRY_S)
        assert hosts.current().urls == ("http://a.example.test:8080",)


def test_dns_that_says_nothing_is_waited_for_a_limited_time(server: Dnsmasq, clock: SteppedClock) -> None:
    server.records = ["a.example.test,8080"]
    with server.running():
        hosts = of_dns(server, clock)
        hosts.current()
        server.pause()
        clock.sleep(100.0)
        assert hosts.current() == HostList(urls=("http://a.example.test:8080",), max_age_s=RETRY_S)


class WaitingSource:
    """A HostSource whose second read waits until the test releases it."""

    again_s: float | None = 1.0

    def __init__(self) -> None:
        self.reads = 0
        self.reading, self.released = threading.Event(), threading.Event()

    def read(self) -> HostList:
        self.reads += 1
        if self.reads == 2:
            self.reading.set()
            assert self.released.wait(PATIENCE_S)
        return HostList(urls=(f"http://list-{self.reads}",), max_age_s=10.0)


def test_one_request_waits_for_a_new_list_and_the_others_get_the_old_one(clock: SteppedClock) -> None:
    source = WaitingSource()
    hosts = Hosts(source, clock=clock)
    hosts.current()
    clock.sleep(5.0)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(hosts.current)
        assert source.reading.wait(PATIENCE_S)
        assert hosts.current().urls == ("http://list-1",)
        source.released.set()
        assert waiting.result(PATIENCE_S).urls == ("http://list-2",)
    assert source.reads == 2


def test_records_of_one_priority_are_in_a_random_order_by_weight() -> None:
    records = [
        SrvRecord(priority=1, weight=weight, host=host, port=80)
        for host, weight in [("a", 0), ("b", 10), ("c", 30)]
    ]
    orders = [order_records(records, random=SystemRandom()) for _ in range(2000)]
    assert {len(order) for order in orders} == {3}
    first = Counter(order[0].host for order in orders)
    # Of 2,000 trials 1,500 are expected; twenty standard deviations would be 390.
    assert 1300 < first["c"] < 1700
    assert first["a"] < 100


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("http://10.0.0.1", "begins with http://; it must be like file:///etc/panopticon/hosts or srv://"),
        ("file://elsewhere/hosts", "a file is named like"),
        ("file:///", "a file is named like"),
        ("file:///hosts?resolver=127.0.0.1", "unknown option 'resolver'; known: tls"),
        ("file:///hosts?tls=yes", "option tls is 'yes'; it must be 0 or 1"),
        ("srv://example.org", "'example.org' must be a name like _panopticon._tcp.example.org"),
        ("srv://_panopticon._udp.example.org", "must be a name like"),
        ("srv://_panopticon._tcp.example.org/x", "must be a name like"),
        ("srv://_panopticon._tcp.example.org?resolver=dns.example", "option resolver is 'dns.example'"),
        ("srv://_panopticon._tcp.example.org?resolver=127.0.0.1:0", "must be like 127.0.0.1:5353"),
        ("srv://_panopticon._tcp.example.org?resolver=", "must be like 127.0.0.1:5353"),
    ],
)
def test_a_setting_that_can_never_work_is_refused(setting: str, said: str, clock: SteppedClock) -> None:
    with pytest.raises(UsageError) as caught:
        open_hosts(setting, clock=clock)
    assert said in str(caught.value)
    assert str(caught.value).startswith("setting 'hosts'")


@pytest.mark.parametrize("resolver", ["127.0.0.1", "[::1]", "[::1]:5353"])
def test_a_name_server_is_an_address_with_or_without_a_port(resolver: str, clock: SteppedClock) -> None:
    assert open_hosts(f"srv://{NAME}?resolver={resolver}", clock=clock)


@pytest.mark.parametrize(
    ("http_host", "local_host", "url"),
    [
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8080"),
        ("Photos.example", "10.0.0.7", "http://photos.example:8080"),
        ("0.0.0.0", "10.0.0.7", "http://10.0.0.7:8080"),
        ("::", "::ffff:10.0.0.7", "http://10.0.0.7:8080"),
        ("::", "2001:db8::7", "http://[2001:db8::7]:8080"),
        ("::1", "::1", "http://[::1]:8080"),
    ],
)
def test_the_url_of_this_host_is_its_configured_address_or_the_one_that_was_reached(
    http_host: str, local_host: str, url: str
) -> None:
    assert url_of(http_host, scheme="http", local_host=local_host, port=8080) == url
