"""Every list is read as its author meant it, or refused in one line that names the line and the way out."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from panopticon.errors import UsageError
from panopticon.messages import MAX_REVISION, ImageMessage
from workers.submission.lists.reader import Listed, read_file, read_stdin

URI = "s3://b/1"
BOM = b"\xef\xbb\xbf"
OTHER_SEPARATOR = "has another separator than commas, semicolons or tabs"
USE_THESE = "use one of these, or begin the list with the header image_id if all of it is an ID"
EXCEL = "save it as UTF-8 (in Excel: CSV UTF-8), or convert it with iconv"
NOT_UTF_8 = "not UTF-8; save the list as UTF-8 (in Excel: CSV UTF-8)"
NO_END = 'a quote opens here and is never closed; close it, or write "" for a quote inside a value'
HEADER_AGAIN = "the header again; remove it, or leave one header if lists were joined"
HEADER_LATE = "a header has to be the first row; remove the rows above it"
A_ROW = "a row is image_id,image_uri,revision"
CONTROL = "it must not contain control characters"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with one photo, `photos/here.jpg`, and the folder `2024`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "here.jpg").write_bytes(b"x")
    (tmp_path / "2024").mkdir()
    return tmp_path


def listed(body: bytes | str, *, stdin: bool = False) -> Iterator[Listed]:
    lines = io.BytesIO(body.encode() if isinstance(body, str) else body)
    return read_stdin(lines) if stdin else read_file(lines, "list.csv")


def images(body: bytes | str, *, stdin: bool = False) -> list[tuple[object, ...]]:
    """Return line, ID, URI and revision of each image."""
    found = [(each.line, each.item) for each in listed(body, stdin=stdin)]
    messages = [(line, item) for line, item in found if isinstance(item, ImageMessage)]
    assert len(messages) == len(found)
    return [(line, item.image_id, item.image_uri, item.revision) for line, item in messages]


def paths(body: bytes | str, *, stdin: bool = False) -> list[bytes]:
    found = [each.item for each in listed(body, stdin=stdin)]
    assert all(isinstance(item, bytes) for item in found)
    return [item for item in found if isinstance(item, bytes)]


def refusal(body: bytes | str, *, stdin: bool = False) -> str:
    with pytest.raises(UsageError) as refused:
        list(listed(body, stdin=stdin))
    return str(refused.value)


@pytest.mark.parametrize("stdin", [False, True], ids=["file", "stdin"])
@pytest.mark.parametrize(
    "body",
    [
        f"image_id,image_uri,revision\na1,{URI},4\n",
        f"image_id,image_uri,revision\r\na1,{URI},4\r\n",
        f"image_id,image_uri,revision\ra1,{URI},4\r",
        f"image_id,image_uri,revision\na1,{URI},4",
        f"image_id;image_uri;revision\na1;{URI};4\n",
        f"image_id\timage_uri\trevision\na1\t{URI}\t4\n",
        f"sep=;\nimage_id;image_uri;revision\na1;{URI};4\n",
        f"\ufeffimage_id,image_uri,revision\na1,{URI},4\n",
        f"\ufeffimage_id,image_uri,revision\n\ufeffa1,{URI},4\n",
        f"Revision , IMAGE_ID, Image_Uri\n4,a1,{URI}\n",
        f'"image_id","image_uri","revision"\n"a1", "{URI}","4"\n',
        f"image_id,image_uri,revision,,\na1,{URI},4,,\n",
        f"image_id,image_uri,revision,note\na1,{URI},4,anything\n",
        f"\n  \nimage_id,image_uri,revision\n\n  a1  ,  {URI} , 4 \n,,\n",
        f"image_id,image_uri,revision\n\u00a0a1\u3000,{URI},4\n",
    ],
)
def test_a_header_decides_separator_and_columns_in_any_dialect(body: str, stdin: bool) -> None:
    ((_, *image),) = images(body, stdin=stdin)
    assert image == ["a1", URI, 4]


@pytest.mark.parametrize("stdin", [False, True], ids=["file", "stdin"])
@pytest.mark.parametrize("row", [f"a1,{URI},4", f"a1;{URI};4", f"a1\t{URI}\t4", f'\ufeff"a1", "{URI}",4'])
def test_a_row_without_a_header_is_recognised_by_its_uri(row: str, stdin: bool) -> None:
    assert images(f"{row}\n", stdin=stdin) == [(1, "a1", URI, 4)]


@pytest.mark.parametrize("separator", ",;\t")
def test_a_row_may_have_a_revision_and_no_uri(separator: str) -> None:
    assert images(f"a1{separator}{separator}4\n") == [(1, "a1", None, 4)]


def test_one_column_without_a_header_is_ids() -> None:
    assert images("a1\n007\n2024\nsummer/0042\n7\n") == [
        (line, image_id, None, 0)
        for line, image_id in enumerate(("a1", "007", "2024", "summer/0042", "7"), start=1)
    ]


def test_the_columns_of_a_message_are_obeyed() -> None:
    body = (
        "image_id,event,revision,occurred_at,message_id\n"
        "a1,deleted,3,2026-11-21T10:30:00+01:00,mine\n"
        "a2,,,,\n"
        "a3,uploaded,1,,\n"
    )
    deleted, plain, uploaded = (each.item for each in listed(body))
    assert deleted == ImageMessage.model_validate(
        {
            "image_id": "a1",
            "event": "deleted",
            "revision": 3,
            "occurred_at": "2026-11-21T09:30:00Z",
            "message_id": "mine",
        }
    )
    assert plain == ImageMessage(image_id="a2")
    assert uploaded == ImageMessage(image_id="a3", revision=1)


def test_a_value_in_quotes_may_have_separators_quotes_and_line_feeds_in_it() -> None:
    body = 'image_id,note,revision\n"a,1","two\nlines ""so""",1\na2,x,2\n'
    assert images(body) == [(2, "a,1", None, 1), (4, "a2", None, 2)]


def test_the_line_of_a_row_is_the_one_in_which_it_begins() -> None:
    assert refusal('\n\nimage_id,note,revision\na1,"two\n\nlines",one\n') == (
        f"list.csv, line 4: revision is 'one'; it must be a whole number from 0 to {MAX_REVISION}"
    )


@pytest.mark.parametrize("body", [b"", b"\n\n  \n", BOM, b"image_id,image_uri\n", b"path\n", b"sep=;\n"])
@pytest.mark.parametrize("stdin", [False, True], ids=["file", "stdin"])
def test_a_list_may_be_empty(body: bytes, stdin: bool) -> None:
    assert list(listed(body, stdin=stdin)) == []


class TestPaths:
    @pytest.mark.parametrize("stdin", [False, True], ids=["file", "stdin"])
    @pytest.mark.parametrize(
        "body",
        [
            b"/photos/a, b.jpg\n./c.jpg\n",
            BOM + b"/photos/a, b.jpg\r\n./c.jpg\r\n",
            b'path\n"/photos/a, b.jpg"\n./c.jpg\n',
            b'number;Path\n1;/photos/a, b.jpg\n2;"./c.jpg"\n',
            BOM + BOM + b"/photos/a, b.jpg\n" + BOM + b"./c.jpg\n",
            b"/photos/a, b.jpg\0./c.jpg\0",
            BOM + b"/photos/a, b.jpg\0./c.jpg\0",
            b"/photos/a, b.jpg\0./c.jpg\n",
        ],
    )
    def test_a_list_of_paths_is_a_list_of_paths(self, body: bytes, stdin: bool) -> None:
        found = paths(body, stdin=stdin)
        assert [found[0], found[1].rstrip(b"\n")] == [b"/photos/a, b.jpg", b"./c.jpg"]

    @pytest.mark.parametrize("path", [b"/a.jpg", b"./a.jpg", b"../a.jpg", b"~/a.jpg"])
    def test_a_file_whose_first_line_begins_like_a_path_is_paths(self, path: bytes) -> None:
        assert paths(path + b"\nb, c.jpg\n") == [path, b"b, c.jpg"]

    def test_on_standard_input_a_bare_name_is_a_path(self) -> None:
        lines = ["here.jpg", "a;b.jpg", "C:\\photos\\x.jpg", "a,,b", "a;http.jpg"]
        Path("a,,b").touch()
        assert paths("\n".join(lines), stdin=True) == [os.fsencode(line) for line in lines]

    def test_a_file_whose_path_reads_like_a_uri_is_a_file(self) -> None:
        Path("s3:/b").mkdir(parents=True)
        Path("s3:/b/1").touch()
        assert paths(f"{URI}\nhere.jpg\n", stdin=True) == [URI.encode(), b"here.jpg"]

    @pytest.mark.parametrize("name", ["path", "image_id", "my,path"])
    def test_a_file_that_is_called_like_a_header_is_a_file(self, name: str) -> None:
        Path(name).touch()
        assert paths(f"{name}\nhere.jpg\n", stdin=True) == [name.encode(), b"here.jpg"]

    def test_zero_bytes_separate_paths_that_have_line_feeds_and_any_bytes_in_them(self) -> None:
        body = b"./a\nb.jpg\0./\xff,s3://b/1\0\0{}\0"
        assert paths(body, stdin=True) == [b"./a\nb.jpg", b"./\xff,s3://b/1", b"{}"]

    def test_paths_between_zero_bytes_are_counted_from_1(self) -> None:
        assert [each.line for each in listed(b"./a\0./b\0./c", stdin=True)] == [1, 2, 3]

    def test_a_column_of_paths_may_be_in_any_bytes(self) -> None:
        assert paths(b"path,note\n/caf\xe9.jpg,\xff\n") == [b"/caf\xe9.jpg"]

    def test_a_path_on_standard_input_may_be_in_any_bytes(self) -> None:
        assert paths(b"\xff:/\xfe, x.jpg\n", stdin=True) == [b"\xff:/\xfe, x.jpg"]

    def test_an_id_that_is_also_a_file_is_an_id_under_a_header(self) -> None:
        assert images("image_id\nphotos/here.jpg\n") == [(2, "photos/here.jpg", None, 0)]


class TestMessages:
    @pytest.mark.parametrize("stdin", [False, True], ids=["file", "stdin"])
    def test_lines_of_json_are_messages_with_or_without_a_byte_order_mark(self, stdin: bool) -> None:
        body = BOM + BOM + b'{"image_id": "a1", "revision": 4}\n' + BOM + b'{"image_id": "a2"}\r\n'
        assert images(body, stdin=stdin) == [(1, "a1", None, 4), (2, "a2", None, 0)]

    def test_paths_rows_and_messages_may_be_mixed_line_by_line(self) -> None:
        body = f'/x.jpg\n\n{{"image_id": "a1"}}\na2,{URI}\na3,\na4,,4\n'
        found = [(each.line, getattr(each.item, "image_id", each.item)) for each in listed(body, stdin=True)]
        assert found == [(1, b"/x.jpg"), (3, "a1"), (4, "a2"), (5, "a3"), (6, "a4")]


REFUSED = [
    # Encodings and line ends.
    ("image_id\na1\n".encode("utf-16"), f"list.csv: the text is in UTF-16; {EXCEL} -f UTF-16 -t UTF-8"),
    ("image_id\na1\n".encode("utf-16-le"), f"list.csv: the text is in UTF-16; {EXCEL} -f UTF-16 -t UTF-8"),
    ("image_id\na1\n".encode("utf-16-be"), f"list.csv: the text is in UTF-16; {EXCEL} -f UTF-16 -t UTF-8"),
    ("\ufeffa1\n".encode("utf-16-be"), f"list.csv: the text is in UTF-16; {EXCEL} -f UTF-16 -t UTF-8"),
    ("\ufeffa1\n".encode("utf-32-be"), f"list.csv: the text is in UTF-32; {EXCEL} -f UTF-32 -t UTF-8"),
    ("image_id\na1\n".encode("utf-32"), f"list.csv: the text is in UTF-32; {EXCEL} -f UTF-32 -t UTF-8"),
    ("image_id\ncafé\n".encode("cp1252"), f"list.csv, line 2: {NOT_UTF_8}"),
    ("image_id,note\na1,café\n".encode("cp1252"), f"list.csv, line 2: {NOT_UTF_8}"),
    (b"PK\x03\x04\x14\0", "list.csv: an Excel workbook or a ZIP archive; save the list as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "list.csv: an Excel workbook; save the list as CSV UTF-8"),
    *(
        (page + b"\n<p>404</p>\n", "list.csv: a web page or XML; save the list as CSV UTF-8")
        for page in (b"<!DOCTYPE html>", b"<html>", BOM + b" <?xml version='1.0'?>")
    ),
    *(
        (array, "list.csv: a JSON array; write one message a line, as jq -c '.[]' does")
        for array in (b'[{"image_id": "a1"}]', b'[\n{"image_id": "a1"}\n]\n', b"[\n")
    ),
    (
        b"image_id,revision\na\rb,1\n",
        "list.csv, line 2: a carriage return in the middle; end each line with a line feed",
    ),
    # Quotes.
    (b'image_id,revision\na1,1\n"a2,2\na3,3\n', f"list.csv, line 3: {NO_END}"),
    (b'"a1\n', f"list.csv, line 1: {NO_END}"),
    (
        b'image_id,revision\n"a" b,1\n',
        'list.csv, line 2: a quote opens here, and text follows where it is closed; write "" for a quote '
        "inside a value",
    ),
    (
        b"image_id,note\na1," + b"x" * 140_000,
        "list.csv, line 2: a value has more than 131072 characters; is a quote not closed?",
    ),
    # Headers.
    (b"image_id,image_id\na,b\n", "list.csv, line 1: the column image_id is there twice; remove one of them"),
    (b"image_id;Event;event\n", "list.csv, line 1: the column event is there twice; remove one of them"),
    (b"path,path\n/a,/b\n", "list.csv, line 1: the column path is there twice; remove one of them"),
    (
        b"image_id,image_url\na1,s3://b/1\n",
        "list.csv, line 1: the column 'image_url' would be ignored; name it image_uri if it is that one, or "
        "else remove it",
    ),
    (
        b"image_id,Occured_At\na1,2026-11-21T09:30:00Z\n",
        "list.csv, line 1: the column 'occured_at' would be ignored; name it occurred_at if it is that one, "
        "or else remove it",
    ),
    (
        b"id,uri\na1,s3://b/1\n",
        "list.csv, line 1: 'id' looks like the name of a column; name it image_id, or write a header if it "
        "is a value",
    ),
    (
        b"Image-ID,uri\na1,s3://b/1\n",
        "list.csv, line 1: 'Image-ID' looks like the name of a column; name it image_id, or write a header "
        "if it is a value",
    ),
    (
        b"filename\nhere.jpg\n",
        "list.csv, line 1: 'filename' looks like the name of a column; name it path, or write a header if it "
        "is a value",
    ),
    (b"image_id,revision\na1,1\nimage_id,revision\na2,2\n", f"list.csv, line 3: {HEADER_AGAIN}"),
    (b"a1\nimage_id\na2\n", f"list.csv, line 2: {HEADER_LATE}"),
    (b"My photos,,\nimage_id,image_uri,revision\n", f"list.csv, line 2: {HEADER_LATE}"),
    *(
        (
            f"{row}\n1|s3://b/1\n",
            f"list.csv, line 1: {row!r} is a header with another separator; separate all columns by commas, "
            "semicolons or tabs",
        )
        for row in (
            "image_id|image_uri",
            "Image_ID  image_uri",
            "revision^image_id",
            "image_uri|note",
            "sep=|",
        )
    ),
    (b"path\n/a.jpg\nPath\n", f"list.csv, line 3: {HEADER_AGAIN}"),
    (
        b"image_id,path\na1,/photos/1.jpg\n",
        "list.csv, line 1: the columns image_id and path; to keep your own IDs write image_uri in place of "
        "path, such as file:///photos/1.jpg, or else remove image_id",
    ),
    (
        b"path,revision\n/photos/1.jpg,3\n",
        "list.csv, line 1: a list of paths has no column revision, since files get their IDs and revisions "
        "by themselves; remove it, or name images by image_id and image_uri",
    ),
    # Columns and separators.
    (b"a1,s3://b/1,0,x\n", f"list.csv, line 1: 4 columns; {A_ROW}, and a header names others"),
    (
        b"image_id,image_uri\na1,file:///a,b.jpg\n",
        "list.csv, line 2: 3 values, and the header has 2; write a value that contains ',' in quotes",
    ),
    (
        b"image_id,image_uri\na1;s3://b/1\n",
        "list.csv, line 2: 'a1;s3://b/1' has another separator than the first row, which has commas; use one "
        "in all rows",
    ),
    (
        b"image_id;image_uri\na1,s3://b/1\n",
        "list.csv, line 2: 'a1,s3://b/1' has another separator than the first row, which has semicolons; use "
        "one in all rows",
    ),
    (
        b"image_id\timage_uri\na1;s3://b/1\n",
        "list.csv, line 2: 'a1;s3://b/1' has another separator than the first row, which has tabs; use one "
        "in all rows",
    ),
    (
        b"a1\na2;3\n",
        "list.csv, line 2: 'a2;3' has a semicolon; begin the list with the header image_id;image_uri if it "
        "separates columns, or with image_id if it belongs to the ID",
    ),
    (b"a1|s3://b/1\n", f"list.csv, line 1: 'a1|s3://b/1' {OTHER_SEPARATOR}; {USE_THESE}"),
    (b"a1\na2 s3://b/1\n", f"list.csv, line 2: 'a2 s3://b/1' {OTHER_SEPARATOR}; {USE_THESE}"),
    # What stands alone and is not an ID.
    (
        b"a1\n/photos/1.jpg\n",
        "list.csv, line 2: '/photos/1.jpg' is a path in a list without a header; begin a list of paths with "
        "the header path, and a list of IDs with the header image_id",
    ),
    (
        b"photos/here.jpg\n",
        "list.csv, line 1: 'photos/here.jpg' is a path in a list without a header; begin a list of paths "
        "with the header path, and a list of IDs with the header image_id",
    ),
    *(
        (
            f"a1\n{path}\n",
            f"list.csv, line 2: {path!r} is a path of Windows; write where this machine has the file, such "
            "as /mnt/c/photos/1.jpg, or begin a list of IDs with the header image_id",
        )
        for path in ("C:\\photos\\1.jpg", "d:/1.jpg", "\\\\nas\\1.jpg")
    ),
    (b"s3://b/1\n", f"list.csv, line 1: 's3://b/1' is a URI without an ID; {A_ROW}"),
    (
        b'a1\n{"image_id": "a2"}\n',
        "list.csv, line 2: a JSON message in a list of rows; put messages into a list of their own",
    ),
    (b"path,note\n,x\n", "list.csv, line 2: the path is empty"),
    (
        b"path\n/a\0b.jpg\n",
        "list.csv, line 2: a zero byte; separate all paths by zero bytes, or all by line feeds",
    ),
    # Values.
    (
        b"a1,C:\\photos\\x.jpg\n",
        "list.csv, line 1: 'C:\\\\photos\\\\x.jpg' is a path of Windows, not a URI; write where this machine "
        "has the file, such as file:///mnt/c/photos/1.jpg",
    ),
    (
        b"a1,\\\\nas\\photos\\x.jpg\n",
        "list.csv, line 1: '\\\\\\\\nas\\\\photos\\\\x.jpg' is a path of Windows, not a URI; write where "
        "this machine has the file, such as file:///mnt/c/photos/1.jpg",
    ),
    (
        b"a1,photos/x.jpg\n",
        "list.csv, line 1: 'photos/x.jpg' is not a URI; a file's URI is file:///its/absolute/path",
    ),
    (b"image_id,revision\n,3\n", "list.csv, line 2: image_id is ''; it should have at least 1 character"),
    (b"image_id\na\0b\n", f"list.csv, line 2: image_id is 'a\\x00b'; {CONTROL}"),
    (b"image_id\na\x07b\n", f"list.csv, line 2: image_id is 'a\\x07b'; {CONTROL}"),
    (
        "image_id\n" + "🐱" * 64,
        f"list.csv, line 2: image_id is '{'🐱' * 60}'; it must have 1 to 255 bytes of UTF-8, not 256",
    ),
    (b"a1,,-1\n", f"list.csv, line 1: revision is '-1'; it must be a whole number from 0 to {MAX_REVISION}"),
    (
        b"a1,,1.0\n",
        f"list.csv, line 1: revision is '1.0'; it must be a whole number from 0 to {MAX_REVISION}",
    ),
    (
        b"a1,,1E+05\n",
        f"list.csv, line 1: revision is '1E+05'; it must be a whole number from 0 to {MAX_REVISION}",
    ),
    ("a1,,١\n", f"list.csv, line 1: revision is '١'; it must be a whole number from 0 to {MAX_REVISION}"),
    (
        b"a1,," + b"9" * 5000,
        f"list.csv, line 1: revision is '{'9' * 60}'; it must be a whole number from 0 to {MAX_REVISION}",
    ),
    (
        b"image_id,event\na1,Deleted\n",
        "list.csv, line 2: event is 'Deleted'; it should be 'uploaded' or 'deleted'",
    ),
    (
        b"image_id,occurred_at\na1,21.11.2026\n",
        "list.csv, line 2: occurred_at is '21.11.2026'; it must be an RFC 3339 timestamp with its zone, such "
        "as 2026-11-21T09:30:00Z",
    ),
    (
        b'{"image_id": "a1"}\n{"image_id": 2}\n',
        "list.csv, line 2: image_id is 2; it should be a valid string",
    ),
    (b'{"image_id": "a1",}\n', "list.csv, line 1: Invalid JSON: trailing comma at column 19"),
    (
        b'{"image_id": "a1", "image_uri": "C:/x.jpg"}\n',
        "list.csv, line 1: 'C:/x.jpg' is a path of Windows, not a URI; write where this machine has the "
        "file, such as file:///mnt/c/photos/1.jpg",
    ),
]


@pytest.mark.parametrize(("body", "line"), REFUSED)
def test_a_malformed_list_is_refused_in_one_line(body: bytes | str, line: str) -> None:
    assert refusal(body) == line


@pytest.mark.parametrize(
    ("word", "name"),
    [
        *((word, "image_id") for word in ("id", "IDs", "imageid", "image ids")),
        *((word, "path") for word in ("paths", "file", "files", "filename", "file_names", "filepath")),
        ("File-Paths", "path"),
    ],
)
def test_a_word_that_can_only_be_a_header_is_not_an_id(word: str, name: str) -> None:
    assert refusal(f"{word}\na1\n").startswith(
        f"list.csv, line 1: {word!r} looks like the name of a column; name it {name}, "
    )


def test_at_least_thirty_malformed_lists_are_among_them() -> None:
    assert len(REFUSED) >= 30


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("image_id\na1\n".encode("utf-16"), f"the text is in UTF-16; {EXCEL} -f UTF-16 -t UTF-8"),
        (
            b"a1,C:\\x.jpg\n",
            "line 1: 'C:\\\\x.jpg' is a path of Windows, not a URI; write where this machine "
            "has the file, such as file:///mnt/c/photos/1.jpg",
        ),
        (b"https://h/1.jpg\n", f"line 1: 'https://h/1.jpg' is a URI without an ID; {A_ROW}"),
        (
            b"/a.jpg\n\na1,,one\n",
            f"line 3: revision is 'one'; it must be a whole number from 0 to {MAX_REVISION}",
        ),
        (b'a1,"s3://b/1\n', f"line 1: {NO_END}"),
        (
            b"/a.jpg\n" * 2000 + b"b\0c",
            "line 2001: a zero byte; separate all paths by zero bytes, or all by line feeds",
        ),
        (b"\xff,s3://b/1\n", f"line 1: {NOT_UTF_8}"),
    ],
)
def test_a_malformed_line_of_standard_input_is_refused_in_one_line(body: bytes, line: str) -> None:
    assert refusal(body, stdin=True).removeprefix("standard input").lstrip(",: ") == line
