"""`GET /v1/hosts`."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from panopticon.errors import Unavailable
from panopticon_client import Client
from tests.clients.python.clocks import SteppedClock
from workers.serving.api.hosts import hosts_endpoint
from workers.serving.hosts import HostList, Hosts, open_hosts


@contextmanager
def served(hosts: Hosts | None, *, http_host: str = "127.0.0.1", bound: str = "127.0.0.1") -> Iterator[int]:
    """Serve the endpoint on a port of its own."""
    endpoint = hosts_endpoint(hosts, http_host=http_host, scheme="http")
    application = Starlette(routes=[Route("/v1/hosts", endpoint)])
    listener = socket.create_server((bound, 0))
    server = uvicorn.Server(uvicorn.Config(application, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def ask(port: int, *, host: str = "127.0.0.1", **headers: str) -> Any:
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("GET", f"http://{host}:{port}/v1/hosts", headers=headers, timeout=20)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        return json.loads(answer.data)


def test_the_list_of_the_setting_and_how_long_it_may_be_used(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("10.0.0.1:8080\nhttps://b.example\n")
    with served(open_hosts(file.as_uri(), clock=SteppedClock())) as port:
        assert ask(port) == {"hosts": ["http://10.0.0.1:8080", "https://b.example"], "max_age_s": 30}


def test_without_a_setting_it_is_this_host_alone_whatever_the_client_calls_it() -> None:
    with served(None) as port:
        alone = {"hosts": [f"http://127.0.0.1:{port}"], "max_age_s": 30}
        assert ask(port) == alone
        assert ask(port, Host="evil.example") == alone


def test_on_every_interface_it_is_the_address_that_the_client_reached() -> None:
    with served(None, http_host="0.0.0.0", bound="0.0.0.0") as port:
        assert ask(port, host="127.0.0.2")["hosts"] == [f"http://127.0.0.2:{port}"]


def test_a_list_that_is_read_does_not_hold_up_the_event_loop() -> None:
    class Loop:
        again_s: float | None = None

        def read(self) -> HostList:
            # In the thread of an event loop, this would not raise.
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            return HostList(urls=("http://10.0.0.1",), max_age_s=0.5)

    with served(Hosts(Loop(), clock=SteppedClock())) as port:
        assert ask(port) == {"hosts": ["http://10.0.0.1"], "max_age_s": 1}


def test_without_any_list_the_error_is_left_to_the_application(tmp_path: Path) -> None:
    hosts = open_hosts((tmp_path / "gone").as_uri(), clock=SteppedClock())
    endpoint = hosts_endpoint(hosts, http_host="127.0.0.1", scheme="http")
    with pytest.raises(Unavailable, match="No such file"):
        asyncio.run(endpoint(None))  # type: ignore[arg-type]


def test_the_client_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("10.0.0.1:8080\n")
    with (
        served(open_hosts(file.as_uri(), clock=SteppedClock())) as port,
        Client([f"http://127.0.0.1:{port}"]) as asking,
    ):
        found = asking.hosts()
    assert (found.hosts, found.max_age_s) == (("http://10.0.0.1:8080",), 30.0)
