"""Recognition of image formats by the first bytes of a file; its name is not used."""

from __future__ import annotations

from enum import StrEnum

from panopticon.errors import Rejected
from panopticon.images.reasons import Reason, rejected


class Format(StrEnum):
    """The image formats that can be decoded."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    GIF = "GIF"
    TIFF = "TIFF"
    BMP = "BMP"
    AVIF = "AVIF"
    HEIF = "HEIF"
    """HEIC, and HEIF with other coded pictures."""
    RAW = "RAW"
    """A camera's RAW file. Most of them are TIFF by their first bytes, and `format_of` returns TIFF for
    those: their directories, which may be anywhere in the file, tell them apart (`readers.raw`)."""


_ALLOWED = (
    (b"\xff\xd8\xff", Format.JPEG),
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"II*\0", Format.TIFF),
    (b"MM\0*", Format.TIFF),
    (b"II+\0", Format.TIFF),
    (b"MM\0+", Format.TIFF),
    (b"FUJIFILMCCD-RAW", Format.RAW),
    (b"IIRO", Format.RAW),
    (b"IIRS", Format.RAW),
    (b"MMOR", Format.RAW),
    (b"IIU\0", Format.RAW),
    (b"II\x1a\0\0\0HEAPCCDR", Format.RAW),
    (b"\0MRM", Format.RAW),
    (b"FOVb", Format.RAW),
)

_NOT_ALLOWED = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "icon"),
    (b"\0\0\2\0", "cursor"),
    (b"icns", "Apple icon"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"\x01\xda", "SGI"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"\x01\0\0\0\x58\0\0\0", "EMF"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\3\4", "zip"),
    (b"\x1aE\xdf\xa3", "Matroska video"),
)

_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
_BRANDS = {
    b"avif": Format.AVIF,
    b"avis": Format.AVIF,
    b"heic": Format.HEIF,
    b"heix": Format.HEIF,
    b"heim": Format.HEIF,
    b"heis": Format.HEIF,
    b"hevc": Format.HEIF,
    b"hevx": Format.HEIF,
    b"hevm": Format.HEIF,
    b"hevs": Format.HEIF,
    b"crx ": Format.RAW,
}
_GENERAL_BRANDS = frozenset({b"mif1", b"msf1"})
"""Brands of pictures of any coding: another brand of the file gives the coding."""
HEAD_BYTES = 1024
"""First bytes of a file that are enough to recognise its format."""


def format_of(encoded: bytes) -> Format:
    """Return the format of an encoded image.

    Raises: Rejected (`format_not_allowed`, `not_an_image`, `truncated`).
    """
    for magic, known in _ALLOWED:
        if encoded.startswith(magic):
            return known
    # The letters BM alone prove little, so the size of the second header has to be one that exists.
    if encoded.startswith(b"BM") and int.from_bytes(encoded[14:18], "little") in _BMP_HEADER_SIZES:
        return Format.BMP
    if encoded[4:8] == b"ftyp":
        return _iso_media(encoded)
    if encoded.startswith(b"RIFF"):
        return _riff(encoded)
    raise _refusal(encoded)


def begins_like_a_picture(head: bytes) -> bool:
    """Return whether a file that begins with `head` (at least `HEAD_BYTES`) has a decodable format."""
    try:
        format_of(head)
    except Rejected:
        return False
    return True


def _iso_media(encoded: bytes) -> Format:
    """Return the format of the first brand that gives one. Raises: Rejected for video and similar files."""
    box_bytes = min(int.from_bytes(encoded[:4]), HEAD_BYTES)
    if len(encoded) < box_bytes:
        raise rejected(Reason.TRUNCATED, "ends within the list of its brands")
    box = encoded[:box_bytes]
    brands = [box[8:12], *(box[at : at + 4] for at in range(16, len(box), 4))]
    known = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    if known is not None:
        return known
    if _GENERAL_BRANDS.intersection(brands):
        return Format.HEIF
    name = encoded[8:12].decode("latin-1")
    raise rejected(Reason.FORMAT_NOT_ALLOWED, f"ISO media of brand {name!r}, such as video")


def _riff(encoded: bytes) -> Format:
    if len(encoded) < 12:
        raise rejected(Reason.TRUNCATED, "ends within its RIFF header")
    if encoded[8:12] == b"WEBP":
        return Format.WEBP
    name = encoded[8:12].decode("latin-1")
    raise rejected(Reason.FORMAT_NOT_ALLOWED, f"RIFF of type {name!r}")


def _refusal(encoded: bytes) -> Exception:
    for magic, name in _NOT_ALLOWED:
        if encoded.startswith(magic):
            return rejected(Reason.FORMAT_NOT_ALLOWED, name)
    if encoded[:1] == b"P" and encoded[1:2] in b"1234567Ff" and encoded[2:3].isspace():
        return rejected(Reason.FORMAT_NOT_ALLOWED, "Netpbm")
    head = encoded[:HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"<") and b"<svg" in head:
        return rejected(Reason.FORMAT_NOT_ALLOWED, "SVG")
    return rejected(Reason.NOT_AN_IMAGE, f"begins with {encoded[:12].hex(' ')}")
