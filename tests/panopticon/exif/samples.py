"""Pictures with EXIF, in every container that is read, made byte by byte and without a decoder."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

MARK = b"Exif\0\0"

Tags = Mapping[int, bytes]
"""Texts of the EXIF directory, by tag."""


def taken(at: str = "2019:07:01 10:20:30", **others: bytes) -> dict[int, bytes]:
    """Return tags of a photo that was taken at a time; `zone` and `fraction` may be given."""
    numbers = {"zone": 0x9011, "fraction": 0x9291}
    return {0x9003: at.encode(), **{numbers[name]: text for name, text in others.items()}}


def exif(
    tags: Tags, *, order: str = "<", first: Tags | None = None, gps: Mapping[int, object] | None = None
) -> bytes:
    """Return EXIF with these texts, from its TIFF header on."""
    made = Image.Exif()
    made.endian = order
    for tag, text in (first or {}).items():
        made[tag] = text.decode("latin-1")
    for tag, text in tags.items():
        made.get_ifd(0x8769)[tag] = text.decode("latin-1")
    for tag, value in (gps or {}).items():
        made.get_ifd(0x8825)[tag] = value
    return made.tobytes().removeprefix(MARK)


def gps_time(date: str, hours: int, minutes: int, seconds: int = 0) -> dict[int, object]:
    """Return the GPS tags of a time in UTC."""
    return {0x1D: date, 0x07: tuple(IFDRational(number, 1) for number in (hours, minutes, seconds))}


def segment(kind: int, content: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content


def jpeg(*segments: bytes) -> bytes:
    """Return a JPEG that begins with these segments."""
    return b"\xff\xd8" + b"".join(segments) + _saved("JPEG")[2:]


def jpeg_with(tiff: bytes) -> bytes:
    return jpeg(segment(0xE1, MARK + tiff))


def png_with(tiff: bytes) -> bytes:
    whole = _saved("PNG")
    # EXIF may stand behind the pixels.
    return whole[:-12] + _chunk(b"eXIf", tiff) + whole[-12:]


def webp_with(tiff: bytes) -> bytes:
    content = b"VP8X" + struct.pack("<IIHBHB", 10, 8, 0, 0, 0, 0)
    pixels = _saved("WEBP", lossless=True)[12:]
    content += pixels + b"EXIF" + struct.pack("<I", len(tiff)) + tiff + bytes(len(tiff) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(content)) + b"WEBP" + content


def heif_with(tiff: bytes, *, brand: bytes = b"heic", version: int = 0, in_image_data: bool = False) -> bytes:
    """Return a HEIF file without a picture, whose second item is EXIF."""
    item = struct.pack(">I", len(MARK)) + MARK + tiff
    entry_version, id_format = (2, ">H") if version < 2 else (3, ">I")
    infos = b"".join(
        _box(
            b"infe", bytes([entry_version, 0, 0, 0]) + struct.pack(id_format, number) + b"\0\0" + kind + b"\0"
        )
        for number, kind in ((1, b"hvc1"), (2, b"Exif"))
    )
    head = _box(b"ftyp", brand + bytes(4) + b"mif1" + brand)
    boxes = _box(b"hdlr", bytes(20)) + _box(b"iinf", bytes(4) + b"\0\2" + infos)
    boxes += _box(b"idat", item) if in_image_data else b""
    # Each position takes the same space whatever it is, so the first pass shows where the item will be.
    at = 0
    for _ in range(2):
        places = _places(version, in_image_data=in_image_data, at=at, length=len(item))
        meta = _box(b"meta", bytes(4) + boxes + places)
        at = 0 if in_image_data else len(head) + len(meta) + 8
    return head + meta + (b"" if in_image_data else _box(b"mdat", item))


def raf_with(tiff: bytes) -> bytes:
    return b"FUJIFILMCCD-RAW ".ljust(84, b"0") + struct.pack(">I", 160) + bytes(72) + jpeg_with(tiff)


def cr3_with(tiff: bytes) -> bytes:
    first = exif({}, first={0x010F: b"Canon"})
    canon = _box(b"CMT1", first) + _box(b"CMT2", tiff)
    return _box(b"ftyp", b"crx " + bytes(4)) + _box(b"moov", _box(b"uuid", bytes(16) + canon))


CONTAINERS: Mapping[str, Callable[[bytes], bytes]] = {
    "jpeg": jpeg_with,
    "png": png_with,
    "webp": webp_with,
    "tiff": lambda tiff: tiff,
    "heic": heif_with,
    "heix": lambda tiff: heif_with(tiff, brand=b"heix", version=1),
    "avif": lambda tiff: heif_with(tiff, brand=b"avif", version=2),
    "idat": lambda tiff: heif_with(tiff, version=1, in_image_data=True),
    "raf": raf_with,
    "cr3": cr3_with,
    "orf": lambda tiff: tiff[:2] + b"RO" + tiff[4:],
}


def _saved(name: str, **options: object) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(made, name, **options)
    return made.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + bytes(4)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _places(version: int, *, in_image_data: bool, at: int, length: int) -> bytes:
    id_format = ">H" if version < 2 else ">I"
    content = bytes([version, 0, 0, 0, 0x44, 0]) + struct.pack(id_format, 2)
    for number, offset in ((1, 0), (2, at)):
        method = struct.pack(">H", int(in_image_data)) if version else b""
        content += struct.pack(id_format, number) + method + struct.pack(">HHII", 0, 1, offset, length)
    return _box(b"iloc", content)
