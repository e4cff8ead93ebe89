"""The source of originals in files: each kind of bad path has a reason code, and no path blocks."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.errors import Rejected, Transient, UsageError
from panopticon.interfaces import FetchLimits, ImageSource
from panopticon.settings import Settings
from storage.originals import check_template, open_originals
from storage.originals.files import FileSource, path_of, uri_of
from tests.contracts.image_source import LIMITS, ImageSourceContract

path_bytes = st.binary(max_size=40).map(lambda name: b"/" + name.replace(b"\0", b""))


class FilesAccess(ImageSourceContract):
    folder: Path

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def open_source(self) -> ImageSource:
        return FileSource()

    def place(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return uri(path)

    def absent(self) -> str:
        return uri(self.folder / "absent.jpg")


class TestFileSource(FilesAccess):
    pass


class TestOriginals(FilesAccess):
    def open_source(self) -> ImageSource:
        return open_originals(Settings())


def uri(path: Path) -> str:
    return uri_of(os.fsencode(path))


def reason(of: str, limits: FetchLimits = LIMITS) -> str:
    with pytest.raises(Rejected) as refusal:
        FileSource().fetch(of, limits)
    return refusal.value.reason


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to("photo.jpg")
    assert FileSource().fetch(uri(tmp_path / "link.jpg"), LIMITS) == b"x"


def test_a_dangling_link_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to("gone.jpg")
    assert reason(uri(tmp_path / "link.jpg")) == "not_found"


def test_a_link_to_itself_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert reason(uri(tmp_path / "loop.jpg")) == "not_found"


def test_a_file_in_place_of_a_folder_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert reason(uri(tmp_path / "photo.jpg" / "photo.jpg")) == "not_found"


def test_a_name_too_long_for_the_file_system_is_not_found(tmp_path: Path) -> None:
    assert reason(uri(tmp_path / ("x" * 4000))) == "not_found"


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert reason(uri(tmp_path)) == "not_a_file"


@pytest.mark.timeout(10)
def test_a_pipe_without_a_writer_is_not_a_file_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(uri(tmp_path / "pipe.jpg")) == "not_a_file"


def test_a_socket_is_not_a_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.jpg"))
        assert reason(uri(tmp_path / "s.jpg")) == "not_a_file"


def test_a_device_is_not_a_file() -> None:
    assert reason("file:///dev/zero") == "not_a_file"


def test_a_file_that_exceeds_the_limit_while_it_is_read_is_rejected() -> None:
    """A file of /proc reports a size of zero, and has content."""
    assert reason("file:///proc/self/status", FetchLimits(max_bytes=10)) == "too_many_bytes"


def test_a_file_that_is_read_in_pieces_comes_whole() -> None:
    """One read of this file returns a page of it, as a read of a network file system may."""
    path = "/proc/kallsyms"
    with open(path, "rb", buffering=0) as file:
        piece = file.read(1 << 26)
    whole = FileSource().fetch(f"file://{path}", FetchLimits(max_bytes=1 << 26))
    assert len(whole) > len(piece) > 0


@pytest.mark.parametrize(
    ("number", "error", "expected"),
    [
        (errno.EACCES, Rejected, "permission_denied"),
        (errno.EPERM, Rejected, "permission_denied"),
        (errno.EIO, Transient, "io_error"),
        (errno.ESTALE, Transient, "io_error"),
        (errno.EMFILE, Transient, "io_error"),
    ],
)
def test_an_error_of_the_system_is_final_only_if_a_retry_cannot_help(
    monkeypatch: pytest.MonkeyPatch, number: int, error: type[Rejected | Transient], expected: str
) -> None:
    def failing_open(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", failing_open)
    with pytest.raises(error, match=f"{expected}: {os.strerror(number)}"):
        FileSource().fetch("file:///photo.jpg", LIMITS)


def test_no_descriptor_is_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    real_open = os.open

    def recording_open(path: bytes, flags: int) -> int:
        opened.append(real_open(path, flags))
        return opened[-1]

    (tmp_path / "photo.jpg").write_bytes(b"x" * 2000)
    monkeypatch.setattr(os, "open", recording_open)
    for path in (tmp_path / "photo.jpg", tmp_path):
        reason(uri(path))
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(opened[-1])


@pytest.mark.parametrize(
    "bad",
    [
        "file://elsewhere/photo.jpg",
        "file:photo.jpg",
        "file://",
        "http:///photo.jpg",
        "file:///a%00b.jpg",
        "file://[/photo.jpg",
        "file://\u2100/photo.jpg",
        "file:///photos/what?.jpg",
        "file:///\udcff.jpg",
    ],
)
def test_an_invalid_file_uri_is_rejected(bad: str) -> None:
    assert reason(bad) == "bad_uri"


def test_localhost_is_this_host(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert FileSource().fetch(f"file://localhost{tmp_path}/photo.jpg", LIMITS) == b"x"


def test_a_fragment_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert FileSource().fetch(uri(tmp_path / "photo.jpg") + "#size=1", LIMITS) == b"x"


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.jpg"
    with open(path, "wb") as file:
        file.write(b"x")
    assert FileSource().fetch(uri_of(path), LIMITS) == b"x"


@given(path_bytes)
def test_any_path_survives_the_round_trip_through_its_uri(path: bytes) -> None:
    assert path_of(uri_of(path)) == path


@given(path_bytes)
def test_a_uri_of_a_path_is_plain_ascii_without_spaces(path: bytes) -> None:
    made = uri_of(path)
    assert made.isascii()
    assert made.isprintable()
    assert " " not in made


@given(st.text(max_size=60))
def test_any_text_is_a_path_or_is_rejected(text: str) -> None:
    for candidate in (text, f"file://{text}", f"file:///{text}"):
        with suppress(Rejected):
            assert path_of(candidate).startswith(b"/")


@pytest.mark.parametrize("written", ["FILE", "File"])
def test_a_scheme_may_be_written_in_capitals(tmp_path: Path, written: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert open_originals(Settings()).fetch(f"{written}://{tmp_path}/photo.jpg", LIMITS) == b"x"


def test_an_unknown_scheme_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(Rejected, match="'gopher'; known: file, http, https, s3"):
        open_originals(Settings()).fetch("gopher://x/photo.jpg", LIMITS)


@pytest.mark.parametrize("template", ["", "file:///photos/{image_id}", "s3://bucket/{image_id}.jpg"])
def test_a_template_with_a_scheme_and_an_id_is_valid(template: str) -> None:
    check_template(template)


@pytest.mark.parametrize("template", ["/photos/{image_id}", "file:///photos", "{image_id}"])
def test_a_template_without_scheme_or_id_is_a_usage_error(template: str) -> None:
    with pytest.raises(UsageError, match="originals"):
        check_template(template)
