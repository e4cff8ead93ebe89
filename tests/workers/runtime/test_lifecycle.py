"""The first signal asks a program to stop, the second one ends it."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from panopticon.metrics import Metrics
from panopticon.settings import Settings
from tests.servers.ports import free_ports
from workers.runtime.lifecycle import run_turns, serve_metrics
from workers.runtime.stop_signals import Stopping

STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    made = Stopping()
    made.listen()
    yield made
    for number, action in before.items():
        signal.signal(number, action)


def test_without_a_signal_it_does_not_stop(stopping: Stopping) -> None:
    assert not stopping()


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_after_a_signal_the_next_one_ends_the_process_unless_it_is_another_hangup(
    stopping: Stopping, number: signal.Signals
) -> None:
    signal.raise_signal(number)
    assert stopping()
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == [
        signal.SIG_DFL,
        signal.SIG_DFL,
        signal.SIG_IGN,
    ]


def test_a_hangup_that_nohup_ignores_does_not_stop_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    others = {number: signal.getsignal(number) for number in STOP_SIGNALS[:2]}
    try:
        made = Stopping()
        made.listen()
        signal.raise_signal(signal.SIGHUP)
        assert not made()
    finally:
        for number, action in {**others, signal.SIGHUP: before}.items():
            signal.signal(number, action)


def test_turns_are_repeated_until_a_signal(stopping: Stopping) -> None:
    turns: list[int] = []

    def turn() -> None:
        turns.append(len(turns))
        if len(turns) == 3:
            signal.raise_signal(signal.SIGTERM)

    run_turns(turn, stopping=stopping)
    assert turns == [0, 1, 2]


def test_metrics_are_served_on_this_machine_only_unless_the_settings_name_another_address() -> None:
    (port,) = free_ports(1)
    serve_metrics(Metrics(), Settings().metrics_host, port)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        assert connection.getpeername()[1] == port
    # Every address of 127.0.0.0/8 reaches a server that listens on all interfaces.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port))


def test_start_and_stop_are_logged_with_their_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = iter([False, True])
    run_turns(lambda: None, stopping=lambda: next(answers))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"started: process {os.getpid()}"),
        ("INFO", "stopping: no more messages are taken"),
    ]
