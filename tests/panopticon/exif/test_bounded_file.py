from __future__ import annotations

import io

import pytest

from panopticon.exif.bounded_file import MAX_READ_BYTES, MAX_READS, BoundedFile, ExifError


def test_a_piece_is_read_whole_or_not_at_all() -> None:
    file = BoundedFile(io.BytesIO(b"abcdef"))
    assert (file.size_bytes, file.read(2, 4), file.read(0, 1)) == (6, b"cdef", b"a")
    with pytest.raises(ExifError, match="ends early"):
        file.read(3, 4)


@pytest.mark.parametrize(("at", "piece"), [(4, b"ef"), (6, b""), (2**70, b"")])
def test_the_end_of_a_file_may_be_asked_for(at: int, piece: bytes) -> None:
    assert BoundedFile(io.BytesIO(b"abcdef")).read_some(at, 9) == piece


def test_the_number_of_reads_is_limited() -> None:
    file = BoundedFile(io.BytesIO(b"a"))
    for _ in range(MAX_READS):
        file.read(0, 1)
    with pytest.raises(ExifError, match="too many"):
        file.read(0, 1)


def test_the_bytes_of_all_reads_are_limited_together() -> None:
    file = BoundedFile(io.BytesIO(bytes(MAX_READ_BYTES)))
    file.read(0, MAX_READ_BYTES - 1)
    file.read(0, 1)
    with pytest.raises(ExifError, match="too many"):
        file.read(0, 1)
