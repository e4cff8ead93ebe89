"""Finding EXIF in files of every format that cameras write, without reading their pixels.

Sources: JPEG (ITU-T T.81), PNG (W3C, third edition), WebP (RFC 9649), HEIF and AVIF (ISO/IEC 14496-12 and
23008-12), CR3 and RAF as described by LibRaw and ExifTool. Other RAW formats are TIFF files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from panopticon.exif.bounded_file import BoundedFile, ExifError

MARK = b"Exif\0"
MARK_BYTES = 6
"""The mark is followed by one more byte, a zero in most files."""
_PNG = b"\x89PNG\r\n\x1a\n"
_RAF = b"FUJIFILMCCD-RAW"
_RAF_JPEG_AT = 84
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN, _JPEG_END, _JPEG_APP1 = 0xDA, 0xD9, 0xE1
_MAX_ILOC_BYTES = 2**18


def tiff_headers(file: BoundedFile) -> Iterator[int]:
    """Yield the positions at which the EXIF of a picture begins, as a TIFF header.

    Raises: ExifError where the file ends early, or OSError.
    """
    head = file.read(0, 16)
    if head.startswith(b"\xff\xd8"):
        yield from _in_jpeg(file, 0)
    elif head.startswith(_PNG):
        yield from _in_png(file)
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        yield from _in_webp(file)
    elif head[4:8] == b"ftyp":
        yield from _in_iso_media(file)
    elif head.startswith(_RAF):
        yield from _in_jpeg(file, int.from_bytes(file.read(_RAF_JPEG_AT, 4)))
    elif head[:2] in (b"II", b"MM"):
        yield 0


def _in_jpeg(file: BoundedFile, at: int) -> Iterator[int]:
    at += 2
    while True:
        mark, kind, *length = file.read(at, 4)
        if mark != 0xFF or kind in (_JPEG_SCAN, _JPEG_END):
            return
        if kind == 0xFF:  # A fill byte.
            at += 1
        elif kind in _JPEG_WITHOUT_LENGTH:
            at += 2
        else:
            # XMP is in segments of this kind too, without the mark.
            if kind == _JPEG_APP1 and file.read_some(at + 4, len(MARK)) == MARK:
                yield _after_marks(file, at + 4)
            at += 2 + int.from_bytes(length)


def _in_png(file: BoundedFile) -> Iterator[int]:
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        head = file.read(at, 8)
        kind = head[4:]
        if kind == b"eXIf":
            yield _after_marks(file, at + 8)
        at += 12 + int.from_bytes(head[:4])


def _in_webp(file: BoundedFile) -> Iterator[int]:
    at = 12
    while True:
        head = file.read(at, 8)
        if head[:4] == b"EXIF":
            yield _after_marks(file, at + 8)
        size = int.from_bytes(head[4:], "little")
        at += 8 + size + size % 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """A box of an ISO media file, and the range of its content."""

    kind: bytes
    start: int
    end: int


def _in_iso_media(file: BoundedFile) -> Iterator[int]:
    for box in _boxes(file, 0, file.size_bytes):
        if box.kind == b"meta":
            yield from _exif_items(file, box)
        elif box.kind == b"moov":  # Canon's CR3: the second directory is that of EXIF.
            for inner in _boxes(file, box.start, box.end):
                if inner.kind == b"uuid":
                    canon = _boxes(file, inner.start + 16, inner.end)
                    yield from (each.start for each in canon if each.kind == b"CMT2")


def _boxes(file: BoundedFile, at: int, end: int) -> Iterator[_Box]:
    while at + 8 <= end:
        head, head_bytes = file.read(at, 8), 8
        size = int.from_bytes(head[:4])
        if size == 1:
            size, head_bytes = int.from_bytes(file.read(at + 8, 8)), 16
        elif size == 0:
            size = end - at
        if size < head_bytes:
            raise ExifError("a box is smaller than its head")
        yield _Box(kind=head[4:], start=at + head_bytes, end=min(at + size, end))
        at += size


def _exif_items(file: BoundedFile, meta: _Box) -> Iterator[int]:
    """Yield the positions of the EXIF of a HEIF or AVIF file: items of this type, where `iloc` puts them."""
    # The content of a full box begins with its version and flags.
    boxes = {box.kind: box for box in _boxes(file, meta.start + 4, meta.end)}
    items, places = boxes.get(b"iinf"), boxes.get(b"iloc")
    if items is None or places is None:
        return
    image_data = boxes.get(b"idat")
    # The positions are looked up only if there is EXIF at all.
    wanted = frozenset(_ids_of_exif(file, items))
    if not wanted:
        return
    iloc = file.read(places.start, min(places.end - places.start, _MAX_ILOC_BYTES))
    for in_image_data, place in _places(iloc, wanted):
        if in_image_data and image_data is None:
            continue
        at = place + (image_data.start if in_image_data and image_data else 0)
        # The item begins with the distance to the TIFF header.
        yield _after_marks(file, at + 4 + int.from_bytes(file.read(at, 4)))


def _ids_of_exif(file: BoundedFile, items: _Box) -> Iterator[int]:
    version = file.read(items.start, 4)[0]
    for box in _boxes(file, items.start + (6 if version == 0 else 8), items.end):
        head = file.read(box.start, min(box.end - box.start, 14))
        id_bytes = 2 if head[:1] == b"\2" else 4
        if box.kind == b"infe" and head[6 + id_bytes : 10 + id_bytes] == b"Exif":
            yield int.from_bytes(head[4 : 4 + id_bytes])


def _places(iloc: bytes, wanted: frozenset[int]) -> Iterator[tuple[bool, int]]:
    """Yield for each wanted item whether it lies in the box `idat`, and where its first extent begins."""
    if len(iloc) < 8:
        return
    version = iloc[0]
    offset_bytes, length_bytes = divmod(iloc[4], 16)
    base_bytes, index_bytes = divmod(iloc[5], 16)
    id_bytes = 2 if version < 2 else 4
    method_bytes = 2 if version else 0
    index_bytes = index_bytes if version else 0
    at = 6 + id_bytes
    for _ in range(int.from_bytes(iloc[6:at])):
        item_id = int.from_bytes(iloc[at : at + id_bytes])
        at += id_bytes
        method = int.from_bytes(iloc[at : at + method_bytes]) & 15
        at += method_bytes + 2
        base = int.from_bytes(iloc[at : at + base_bytes])
        at += base_bytes
        extents = int.from_bytes(iloc[at : at + 2])
        at += 2 + index_bytes
        if at > len(iloc):
            return
        if item_id in wanted and method in (0, 1):
            yield method == 1, base + int.from_bytes(iloc[at : at + offset_bytes])
        # Extents that take no bytes are not counted one by one: a few bytes could announce billions.
        at += extents * (index_bytes + offset_bytes + length_bytes) - index_bytes


def _after_marks(file: BoundedFile, at: int) -> int:
    """Return the position after the mark of EXIF, which some programs leave out and others write twice."""
    while file.read_some(at, MARK_BYTES).startswith(MARK):
        at += MARK_BYTES
    return at
