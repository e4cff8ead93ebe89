"""The check of this machine's clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from panopticon.interfaces import Finding, Health
from panopticon.settings import Settings
from storage.health.clocks import compared
from workers.doctor.clock import clock_findings


@contextmanager
def server(*, ahead_s: float) -> Iterator[str]:
    """An HTTP server whose clock is `ahead_s` ahead of ours; gives its host and port."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + ahead_s, usegmt=True)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def look(settings: Settings, *, now_s: float | None = None) -> list[Finding]:
    return list(clock_findings(settings, now_s=lambda: time.time() if now_s is None else now_s))


def test_a_clock_later_than_the_program_is_healthy() -> None:
    assert [finding.health for finding in look(Settings())] == [Health.OK]


def test_a_clock_earlier_than_the_program_fails() -> None:
    (finding,) = look(Settings(), now_s=100.0)
    assert (finding.health, finding.check) == (Health.FAIL, "clock: here")


@pytest.mark.parametrize(
    ("apart_s", "health"),
    [(0, Health.OK), (-5, Health.OK), (30, Health.WARN), (-30, Health.WARN), (90, Health.FAIL)],
)
def test_the_health_of_a_clock_depends_on_its_difference(apart_s: float, health: Health) -> None:
    finding = compared("http://host", ours_s=1000 + apart_s, theirs_s=1000)
    assert finding.health is health
    assert bool(finding.advice) is (health is not Health.OK)


def test_the_finding_names_which_clock_is_ahead() -> None:
    assert compared("http://host", ours_s=1100, theirs_s=1000).seen == "ours is 99 s ahead of it"
    assert compared("http://host", ours_s=1000, theirs_s=1100).seen == "ours is 99 s behind it"


def test_our_clock_is_compared_with_the_originals_server_and_the_management_of_the_broker() -> None:
    with server(ahead_s=0) as originals, server(ahead_s=3600) as management:
        settings = Settings(
            originals=f"http://user:s3cr3t@{originals}/{{image_id}}.jpg",
            broker=f"amqp://user:s3cr3t@broker/?management=http://{management}",
        )
        found = {finding.check: finding.health for finding in look(settings)}
    assert found == {
        "clock: here": Health.OK,
        f"clock: http://{originals}": Health.OK,
        f"clock: http://{management}": Health.FAIL,
    }


def test_a_server_that_does_not_answer_is_left_out() -> None:
    with server(ahead_s=0) as gone:
        pass
    assert len(look(Settings(originals=f"http://{gone}/{{image_id}}"))) == 1
