"""Paths are read as they arrive, and a bad line is an error of its own."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.errors import UsageError
from workers.classification.paths import (
    MAX_PATH_BYTES,
    ArrivingPaths,
    GivenPaths,
    OpenStream,
    PathLine,
    PathSource,
    StandardInput,
)

PATIENCE_S = 10.0


class Pieces:
    """A byte source that gives these pieces, then its end."""

    def __init__(self, pieces: Sequence[bytes | None]) -> None:
        self._pieces = iter(pieces)

    def read(self, *, wait_s: float) -> bytes | None:
        return next(self._pieces, b"")


def all_of(source: PathSource, most: int = 1000) -> list[PathLine]:
    lines = []
    while not source.ended:
        lines += source.take(most, wait_s=0.0)
    return lines


def paths_of(*pieces: bytes | None, null: bool = False) -> list[bytes]:
    return [line.path for line in all_of(ArrivingPaths(Pieces(pieces), null=null))]


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        (b"", []),
        (b"a\n", [b"a"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b" a \n", [b" a "]),
        (b"\xff\xfe\n", [b"\xff\xfe"]),
        (b"a\rb\n", [b"a\rb"]),
    ],
)
def test_a_line_ends_with_lf_or_cr_lf_and_holds_any_other_byte(given: bytes, paths: list[bytes]) -> None:
    assert paths_of(given) == paths


def test_a_path_that_ends_with_nul_may_hold_line_feeds_and_a_carriage_return_at_its_end() -> None:
    assert paths_of(b"a\nb\r\0c\0", null=True) == [b"a\nb\r", b"c"]


@given(st.lists(st.binary(min_size=1, max_size=9).filter(lambda path: b"\0" not in path)), st.data())
def test_where_the_pieces_are_cut_makes_no_difference(paths: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(path + b"\0" for path in paths)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    edges = [0, *cuts, len(whole)]
    pieces = [whole[start:end] or None for start, end in pairwise(edges)]
    assert paths_of(*pieces, null=True) == paths


@pytest.mark.parametrize(
    "source", [GivenPaths([b"a", b"", b"b"]), ArrivingPaths(Pieces([b"a\n\nb"]), null=False)]
)
def test_a_line_without_a_path_is_an_error_and_the_next_one_is_read(source: PathSource) -> None:
    assert [line.error and line.error.reason for line in all_of(source)] == [None, "empty_path", None]


def test_a_line_that_is_too_long_is_an_error_and_keeps_its_beginning_only() -> None:
    line, after = all_of(ArrivingPaths(Pieces([b"x" * MAX_PATH_BYTES] * 9 + [b"\nb\n"]), null=False))
    assert line.error is not None
    assert (line.error.reason, line.path) == ("path_too_long", b"x" * MAX_PATH_BYTES)
    assert (after.error, after.path) == (None, b"b")


def test_no_more_is_taken_than_asked_for_and_the_rest_is_read_later() -> None:
    pieces = Pieces([b"a\nb\nc\n", b"d\n"])
    source = ArrivingPaths(pieces, null=False)
    assert [line.path for line in source.take(2, wait_s=0)] == [b"a", b"b"]
    assert next(pieces._pieces) == b"d\n"
    assert source.take(0, wait_s=0) == []


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def taken(source: ArrivingPaths, number: int) -> list[bytes]:
    deadline_s = time.monotonic() + PATIENCE_S
    lines: list[PathLine] = []
    while len(lines) < number:
        assert time.monotonic() < deadline_s
        lines += source.take(number, wait_s=0.05)
    return [line.path for line in lines]


def test_a_path_is_there_as_soon_as_its_line_has_ended(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    source = ArrivingPaths(StandardInput(reading), null=False)
    os.write(writing, b"a\nb")
    assert taken(source, 1) == [b"a"]
    assert source.take(1, wait_s=0) == []
    os.write(writing, b"c\n")
    assert taken(source, 1) == [b"bc"]
    assert not source.ended
    os.close(writing)
    assert source.take(1, wait_s=1) == []
    assert source.ended


def test_a_pipe_that_never_blocks_is_waited_for(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(reading, False)
    source = ArrivingPaths(StandardInput(reading), null=False)
    assert source.take(1, wait_s=0) == []
    os.write(writing, b"a\n")
    assert taken(source, 1) == [b"a"]


@pytest.mark.parametrize(
    "broken", [lambda: os.open("/", os.O_RDONLY), lambda: os.open("/dev/null", os.O_WRONLY)]
)
def test_a_descriptor_that_cannot_be_read_is_a_mistake_in_one_line(broken: Callable[[], int]) -> None:
    descriptor = broken()
    try:
        with pytest.raises(UsageError, match="standard input: .*; give it a list of paths"):
            all_of(ArrivingPaths(StandardInput(descriptor), null=False))
    finally:
        os.close(descriptor)


def test_a_stream_in_memory_is_read() -> None:
    assert [line.path for line in all_of(ArrivingPaths(OpenStream(io.BytesIO(b"a\nb")), null=False))] == [
        b"a",
        b"b",
    ]
