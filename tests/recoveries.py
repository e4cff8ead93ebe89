"""The seconds from the end of a fault until work went on: recorded by tests, listed when the run ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

RECOVERED_S = "recovered_s"

Recorder = Callable[[float], None]


@pytest.fixture
def recovered(record_property: Callable[[str, object], None]) -> Recorder:
    """A function that records the seconds from the end of a fault until work went on by itself."""
    return lambda seconds: record_property(RECOVERED_S, round(seconds, 1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        f"recovered in {value} s: {report.nodeid}"
        for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
        for name, value in report.user_properties
        if name == RECOVERED_S
    ]
    if lines:
        terminalreporter.section("recoveries")
        terminalreporter.write_line("\n".join(lines))
