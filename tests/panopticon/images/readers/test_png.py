import struct
import zlib

import pytest

from panopticon.errors import Rejected
from panopticon.images.readers.png import reading
from panopticon.images.readers.png.chunks import chunks_of
from tests import pictures

PLAIN = pictures.one_of_each()["PNG"]


def picture_of(encoded: bytes) -> bytes:
    return reading.picture_of(chunks_of(encoded))


def test_a_plain_png_is_left_as_it_is() -> None:
    assert picture_of(PLAIN) == PLAIN


def test_chunks_that_do_not_affect_the_picture_are_removed() -> None:
    loud = pictures.with_chunks(PLAIN, (b"tEXt", b"Comment\0hello"), (b"acTL", bytes(8)), (b"prVt", b"x"))
    assert picture_of(loud) == PLAIN


def test_orientation_and_profile_are_kept() -> None:
    dressed = pictures.with_chunks(
        PLAIN, (b"iCCP", b"p\0\0" + zlib.compress(b"profile")), (b"eXIf", b"II*\0")
    )
    assert picture_of(dressed) == dressed


@pytest.mark.parametrize(
    "profile", [zlib.compress(bytes(2 * 1024 * 1024)), b"not packed"], ids=["bomb", "broken"]
)
def test_a_profile_that_cannot_be_unpacked_is_removed(profile: bytes) -> None:
    assert picture_of(pictures.with_chunks(PLAIN, (b"iCCP", b"p\0\0" + profile))) == PLAIN


def test_bytes_after_the_end_are_removed() -> None:
    assert picture_of(PLAIN + b"more") == PLAIN


def test_a_missing_end_is_truncated() -> None:
    with pytest.raises(Rejected) as raised:
        picture_of(PLAIN[:-12])
    assert raised.value.reason == "truncated"


def test_a_first_chunk_that_is_not_a_header_is_corrupt() -> None:
    with pytest.raises(Rejected) as raised:
        picture_of(PLAIN[:8] + PLAIN[33:])
    assert raised.value.reason == "corrupt"


def test_a_second_header_is_corrupt() -> None:
    second = pictures.with_chunks(PLAIN, (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)))
    with pytest.raises(Rejected) as raised:
        picture_of(second)
    assert raised.value.reason == "corrupt"
