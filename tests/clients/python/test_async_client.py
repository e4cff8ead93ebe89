"""The client for asyncio."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from panopticon_client import Analysis, AsyncClient, Client, Rejected
from tests.clients.python.scripted_host import ANALYSIS, ScriptedHost, refuses, says

PATIENCE_S = 20.0


@pytest.fixture
def host() -> Iterator[ScriptedHost]:
    with ScriptedHost() as host:
        yield host


def test_it_has_every_method_of_the_client_with_the_same_parameters() -> None:
    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert "analyze" in methods
    for name in methods - {"close"}:
        theirs, ours = getattr(Client, name), getattr(AsyncClient, name)
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert ours.__doc__ == theirs.__doc__


def test_calls_run_at_once_and_leave_the_event_loop_free(host: ScriptedHost) -> None:
    together = threading.Barrier(4, timeout=PATIENCE_S)

    def waits(handler: Any) -> None:
        together.wait()
        says(200, ANALYSIS)(handler)

    async def run() -> list[Analysis]:
        async with AsyncClient([host.url]) as asking:
            calls = [asyncio.ensure_future(asking.analyze(b"jpg", top_k=1)) for _ in range(3)]
            # The hosts answer only once the loop has come to this line.
            await asyncio.to_thread(together.wait)
            return await asyncio.gather(*calls)

    host.otherwise = waits
    found = asyncio.run(run())
    assert [each.host for each in found] == [host.url] * 3
    assert {each.path for each in host.received} == {"/v1/analyze?top_k=1"}


def test_errors_are_those_of_the_client(host: ScriptedHost) -> None:
    async def run() -> None:
        async with AsyncClient([host.url]) as asking:
            await asking.analyze(b"jpg")

    host.then(refuses(422, reason="undecodable"))
    with pytest.raises(Rejected, match="undecodable"):
        asyncio.run(run())


def test_many_images_are_answered_in_order(host: ScriptedHost) -> None:
    async def run() -> list[type]:
        async with AsyncClient([host.url]) as asking:
            return [type(each) async for each in asking.analyze_many([b"1", b"2", b"3"], at_once=1)]

    host.then(says(200, ANALYSIS), refuses(422))
    assert asyncio.run(run()) == [Analysis, Rejected, Analysis]


def test_a_loop_over_many_images_may_be_cancelled(host: ScriptedHost) -> None:
    asked, released = threading.Event(), threading.Event()

    def waits(handler: Any) -> None:
        asked.set()
        released.wait(PATIENCE_S)
        says(200, ANALYSIS)(handler)

    async def run() -> int:
        async with AsyncClient([host.url]) as asking:

            async def loop() -> None:
                async for _ in asking.analyze_many([b"jpg"] * 50, at_once=2):
                    pass

            task = asyncio.ensure_future(loop())
            assert await asyncio.to_thread(asked.wait, PATIENCE_S)
            task.cancel()
            released.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            return len(host.received)

    host.otherwise = waits
    assert asyncio.run(run()) <= 3
    assert not [each for each in threading.enumerate() if each.name.startswith("panopticon-client")]


def test_the_other_methods_answer_too(host: ScriptedHost) -> None:
    async def run() -> tuple[int, tuple[str, ...], tuple[str, ...], str]:
        async with AsyncClient([host.url]) as asking:
            return (
                len(await asking.models()),
                (await asking.search(all="cat")).image_ids,
                (await asking.hosts()).hosts,
                (await asking.image("7")).image_id,
            )

    listed = {"hosts": [host.url], "max_age_s": 1}
    host.then(says(200, {"models": []}), says(200, {"images": []}), says(200, listed), says(200, {}))
    assert asyncio.run(run()) == (0, (), (host.url,), "7")
