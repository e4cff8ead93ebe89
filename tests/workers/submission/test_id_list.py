"""A list of image IDs is read as it is written, or refused as a whole."""

from __future__ import annotations

import io

import pytest

from panopticon.errors import UsageError
from workers.submission.id_list import read_image_ids


def read(body: bytes) -> list[str]:
    return read_image_ids(io.BytesIO(body), "ids.txt")


@pytest.mark.parametrize("body", [b"b\na\n", b"b\r\na\r\n", b"b\na", b"\xef\xbb\xbfb\na\n"])
def test_ids_are_read_in_order_with_any_line_ending(body: bytes) -> None:
    assert read(body) == ["b", "a"]


def test_spaces_inside_and_letters_of_any_script_belong_to_the_id() -> None:
    assert read("a b\nGrüße\n写真\n".encode()) == ["a b", "Grüße", "写真"]


def test_spaces_around_an_id_do_not_belong_to_it() -> None:
    assert read(" a b \n\tc\n\u3000d\u00a0\n".encode()) == ["a b", "c", "d"]


def test_a_first_line_image_id_is_a_header() -> None:
    assert read(b"Image_ID\na\nb\n") == ["a", "b"]


def test_files_that_were_joined_may_have_a_byte_order_mark_in_the_middle() -> None:
    assert read(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n") == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"a\n\nb\n", "ids.txt, line 2: it is blank; write one image ID a line"),
        (b"a\n \t\nb\n", "ids.txt, line 2: it is blank; write one image ID a line"),
        (b"a\nb\na\n", "ids.txt, line 3: 'a' is on line 1 already; name each image once"),
        (
            b"a\nb\x1b[31m\n",
            r"ids.txt, line 2: 'b\x1b[31m' is not an image ID: it must not contain control characters",
        ),
        (
            "a\u0085b\n".encode(),
            r"ids.txt, line 1: 'a\x85b' is not an image ID: it must not contain control characters",
        ),
        (
            b"a\rb\n",
            "ids.txt, line 1: a carriage return in the middle; end each line with a line feed",
        ),
        (b"a\nb\tc\n", r"ids.txt, line 2: 'b\tc' is not an image ID: it must not contain control characters"),
        (b"a\n\xff\n", "ids.txt, line 2: not UTF-8; save the list as UTF-8 (in Excel: CSV UTF-8)"),
        (
            "a\nb\n".encode("utf-16"),
            "ids.txt: the text is in UTF-16; save it as UTF-8 (in Excel: CSV UTF-8), "
            "or convert it with iconv -f UTF-16 -t UTF-8",
        ),
        (
            b"image_id\na\nimage_id\nb\n",
            "ids.txt, line 3: the header again; remove it, or leave one header if lists were joined",
        ),
        (
            b"a\nimage_id\n",
            "ids.txt, line 2: a header has to be the first row; remove the rows above it",
        ),
        (b"a\n a\n", "ids.txt, line 2: 'a' is on line 1 already; name each image once"),
        (
            b"a;s3://b/1\n",
            "ids.txt, line 1: 'a;s3://b/1' is a row of columns; write one image ID a line",
        ),
        (
            b"image_id,revision\na,1\n",
            "ids.txt, line 1: 'image_id,revision' is a row of columns; write one image ID a line",
        ),
        (b"", "ids.txt: it holds no image ID; write one a line"),
    ],
)
def test_a_line_that_is_not_an_id_is_reported_with_its_number(body: bytes, complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(body)
    assert str(refused.value) == complaint


def test_an_id_that_is_too_long_is_cut_in_the_message() -> None:
    with pytest.raises(
        UsageError, match=r"ids.txt, line 1: 'x{60}' is not an image ID: it should have at most 255"
    ) as refused:
        read(b"x" * 300)
    assert "\n" not in str(refused.value)
