"""Lists of IDs: harmless oddities are ignored, and every error is named with its line."""

from __future__ import annotations

import hashlib
import io
import random
import tracemalloc
from pathlib import Path

import pytest

from panopticon.errors import UsageError
from workers.backfill.sorted_ids import IdList, sorted_ids


def ids_of(listed: IdList, cursor: int = 0) -> list[str]:
    return list(listed.after(cursor))


def test_ids_come_sorted() -> None:
    with sorted_ids(io.BytesIO(b"b\na\r\nab\nc"), "list") as listed:
        assert (ids_of(listed), listed.total) == (["a", "ab", "b", "c"], 4)


def test_ids_before_the_cursor_are_left_out() -> None:
    with sorted_ids(io.BytesIO(b"a\nb\nc\n"), "list") as listed:
        assert (ids_of(listed, 2), ids_of(listed, 3)) == (["c"], [])


def test_the_digest_does_not_depend_on_the_order_of_the_ids() -> None:
    expected = hashlib.sha256(b"a\nb\n").hexdigest()
    for text in (b"a\nb\n", b"b\na"):
        with sorted_ids(io.BytesIO(text), "list") as listed:
            assert listed.sha256 == expected


def test_a_list_merged_from_pieces_is_the_same_list() -> None:
    names = [f"image-{number}" for number in range(1000)]
    random.Random(5).shuffle(names)
    source = "\n".join(names).encode()
    with (
        sorted_ids(io.BytesIO(source), "list") as whole,
        sorted_ids(io.BytesIO(source), "list", ids_in_memory=64) as pieces,
    ):
        assert ids_of(pieces) == ids_of(whole) == sorted(names)
        assert pieces.sha256 == whole.sha256


@pytest.mark.parametrize("ids_in_memory", [2, 100])
def test_a_repeated_id_is_named_with_both_lines(ids_in_memory: int) -> None:
    with (
        pytest.raises(UsageError, match="my list, line 4: 'b' is on line 2 already; name each image once"),
        sorted_ids(io.BytesIO(b"a\nb\nc\nb\n"), "my list", ids_in_memory=ids_in_memory),
    ):
        pytest.fail("it was taken")


def test_ids_of_any_script_are_ordered_by_their_bytes() -> None:
    names = ["Grüße 🦒", "a", "\ue000", "𝒜", "é"]
    with sorted_ids(io.BytesIO("\n".join(names).encode()), "list") as listed:
        assert ids_of(listed) == sorted(names, key=str.encode)


def test_a_byte_order_mark_is_not_part_of_the_first_id() -> None:
    with sorted_ids(io.BytesIO(b"\xef\xbb\xbfa\n"), "list") as listed:
        assert ids_of(listed) == ["a"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"a\tb", r"'a\tb' is not an image ID: it must not contain control characters"),
        (b"a\x00", r"'a\x00' is not an image ID: it must not contain control characters"),
        (b"a\xff", "not UTF-8; save the list as UTF-8"),
        ("é".encode() * 128, "is not an image ID: it must have 1 to 255 bytes of UTF-8, not 256"),
        (b" \t", "it is blank; write one image ID a line"),
    ],
)
def test_an_invalid_id_is_named_with_its_line(line: bytes, complaint: str) -> None:
    with (
        pytest.raises(UsageError) as raised,
        sorted_ids(io.BytesIO(b"a\nc\n" + line + b"\nb\n"), "my list"),
    ):
        pytest.fail("it was taken")
    message = str(raised.value)
    assert message.startswith("my list, line 3: ")
    assert complaint in message
    assert "\n" not in message


def test_an_empty_list_is_refused() -> None:
    with (
        pytest.raises(UsageError, match="my list: it holds no image ID; write one a line"),
        sorted_ids(io.BytesIO(b""), "my list"),
    ):
        pytest.fail("it was taken")


def test_no_temporary_file_is_left() -> None:
    with sorted_ids(io.BytesIO(b"a\n"), "list") as listed:
        folder = listed.path.parent
        assert folder.is_dir()
    assert not folder.exists()


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    assert peak_bytes(tmp_path, 100_000) < 2 * peak_bytes(tmp_path, 20_000)


def peak_bytes(folder: Path, count: int) -> int:
    """Return the peak memory of sorting a list and reading it to its end."""
    path = folder / f"{count}"
    path.write_text("".join(f"image-{number}\n" for number in range(count)))
    tracemalloc.start()
    with path.open("rb") as source, sorted_ids(source, "list", ids_in_memory=5_000) as listed:
        assert sum(1 for _ in listed.after(0)) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_line_without_an_end_is_not_read_into_memory() -> None:
    class Endless(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size < 10_000
            return b"x" * size

    with pytest.raises(UsageError, match="line 1"), sorted_ids(Endless(), "list"):
        pytest.fail("it was taken")
