"""The threads that read store and search for requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from panopticon.errors import Damaged
from tests.house import House
from workers.serving.reading import Readers, ReadersBusy, ReadingParts, ReadTooLate

WAIT_S = 30.0


@pytest.fixture
def readers(house: House) -> Iterator[Readers]:
    with closing(Readers(house.settings, threads=2, max_waiting=1)) as readers:
        yield readers


@contextmanager
def one_reader(house: House, *, timeout_s: float = WAIT_S) -> Iterator[Readers]:
    settings = house.settings.model_copy(update={"request_timeout_s": timeout_s})
    with closing(Readers(settings, threads=1, max_waiting=1)) as only:
        yield only


def thread_of(parts: ReadingParts) -> str:
    parts.store.registry.models()
    return threading.current_thread().name


def test_a_read_runs_in_a_thread_that_has_its_own_store(readers: Readers) -> None:
    async def twice() -> list[tuple[str, int]]:
        return [await readers.run(lambda parts: (thread_of(parts), id(parts.store))) for _ in range(2)]

    first, second = asyncio.run(twice())
    assert first == second
    assert first[0].startswith("reader-")


def test_two_reads_run_at_once_in_two_threads(readers: Readers) -> None:
    meeting = threading.Barrier(2)

    def read(parts: ReadingParts) -> str:
        name = thread_of(parts)
        meeting.wait(WAIT_S)
        return name

    async def both() -> tuple[str, str]:
        return await asyncio.gather(readers.run(read), readers.run(read))

    assert sorted(asyncio.run(both())) == ["reader-1", "reader-2"]


def test_the_event_loop_goes_on_while_a_read_waits(readers: Readers) -> None:
    let_go = threading.Event()

    async def ask() -> bool:
        waiting = asyncio.create_task(readers.run(lambda _parts: let_go.wait(WAIT_S)))
        await asyncio.sleep(0)
        # Were the read on the event loop, this line would be reached only after its wait.
        let_go.set()
        return await waiting

    assert asyncio.run(ask())


def test_an_error_of_a_read_reaches_its_request(readers: Readers) -> None:
    def read(_parts: ReadingParts) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        asyncio.run(readers.run(read))
    assert asyncio.run(readers.run(thread_of)).startswith("reader-")


def test_more_reads_than_may_wait_are_refused_at_once(readers: Readers) -> None:
    let_go = threading.Event()

    async def ask() -> None:
        taken = [asyncio.create_task(readers.run(lambda _parts: let_go.wait(WAIT_S))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ReadersBusy, match="1 requests already wait"):
            await readers.run(thread_of)
        let_go.set()
        assert await asyncio.gather(*taken) == [True] * 3

    asyncio.run(ask())


def test_a_read_that_takes_too_long_is_given_up_and_its_thread_goes_on(house: House) -> None:
    let_go = threading.Event()

    async def ask(readers: Readers) -> str:
        with pytest.raises(ReadTooLate, match="had not answered in 0.05 s"):
            await readers.run(lambda _parts: let_go.wait(WAIT_S))
        let_go.set()
        return await readers.run(thread_of)

    with one_reader(house, timeout_s=0.05) as only:
        assert asyncio.run(ask(only)) == "reader-1"


def test_a_read_whose_request_ended_before_a_thread_was_free_never_runs(house: House) -> None:
    let_go, ran = threading.Event(), []

    async def ask(readers: Readers) -> None:
        busy = asyncio.create_task(readers.run(lambda _parts: let_go.wait(WAIT_S)))
        waiting = asyncio.create_task(readers.run(lambda _parts: ran.append(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        let_go.set()
        await busy
        await readers.run(thread_of)

    with one_reader(house) as only:
        asyncio.run(ask(only))
    assert ran == []


def test_a_damaged_store_is_opened_again_at_the_next_read(readers: Readers) -> None:
    def fails(parts: ReadingParts) -> None:
        kept.append(parts.store)
        raise Damaged("house.db", "its structure is malformed")

    kept: list[object] = []
    with pytest.raises(Damaged):
        asyncio.run(readers.run(fails))
    assert asyncio.run(readers.run(lambda parts: parts.store)) is not kept[0]


def test_closing_ends_the_threads_and_their_connections(house: House) -> None:
    readers = Readers(house.settings)
    parts = asyncio.run(readers.run(lambda parts: (thread_of(parts), parts)[1]))
    readers.close()
    assert not any(thread.name.startswith("reader-") for thread in threading.enumerate())
    assert "store" not in vars(parts)
    with pytest.raises(ReadersBusy, match="about to stop"):
        asyncio.run(readers.run(thread_of))
