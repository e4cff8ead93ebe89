"""Encoded images for tests: good ones of every kind, and parts from which bad ones are made."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

WIDTH_PX, HEIGHT_PX = 48, 36

FORMAT_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 60},
    "PNG": {},
    "WEBP": {"quality": 60},
    "GIF": {},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "AVIF": {"quality": 50, "speed": 10},
}


def photo(width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX, *, seed: int = 0) -> Image.Image:
    """Make a smooth RGB picture with some grain, like a photo; the same for the same seed."""
    rng = np.random.default_rng(seed)
    blobs = rng.integers(0, 256, size=(5, 6, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(blobs).resize((width_px, height_px), Image.Resampling.BICUBIC))
    grain = rng.integers(-4, 5, size=(height_px, width_px, 1))
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    """Encode an image in a format, given by Pillow's name for it."""
    buffer = io.BytesIO()
    image.save(buffer, name, **{**FORMAT_OPTIONS.get(name, {}), **options})
    return buffer.getvalue()


def one_of_each(*, seed: int = 0) -> dict[str, bytes]:
    """Return a good small picture in every format that is decoded."""
    return {name: encoded(photo(seed=seed), name) for name in FORMAT_OPTIONS}


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width_px: int,
    height_px: int,
    *,
    depth: int = 8,
    kind: int = 2,
    rows: bytes = b"",
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """Return a PNG with any header; its data unpacks to `rows`, and the chunks `extra` precede the data."""
    header = struct.pack(">IIBBBBB", width_px, height_px, depth, kind, 0, 0, 0)
    middle = b"".join(chunk(name, body) for name, body in extra)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + data + chunk(b"IEND", b"")


def with_chunks(encoded_png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return the same PNG with more chunks after its header."""
    return encoded_png[:33] + b"".join(chunk(name, body) for name, body in chunks) + encoded_png[33:]


def tiff(tags: Sequence[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    """Return a little-endian TIFF with tags (tag, type, count, value or offset), then `data`."""
    entries = b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + struct.pack("<L", 0) + data


def bmp(width_px: int, height_px: int, *, bits: int = 24, compression: int = 0, data: bytes = b"") -> bytes:
    """Return a BMP with any header; at eight bits with a palette of greens."""
    palette = b"".join(bytes((0, index, 0, 0)) for index in range(256)) if bits == 8 else b""
    header = struct.pack(
        "<LLLHHLLLLLL", 40, width_px, height_px, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0
    )
    offset = 14 + len(header) + len(palette)
    return struct.pack("<2sLLL", b"BM", offset + len(data), 0, offset) + header + palette + data


def tags_of(
    width_px: int, height_px: int, *, data_at: int, data_bytes: int
) -> list[tuple[int, int, int, int]]:
    """Return the tags of an uncompressed grey TIFF of one strip."""
    return [
        (256, 4, 1, width_px),
        (257, 4, 1, height_px),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, data_at),
        (277, 3, 1, 1),
        (278, 4, 1, height_px),
        (279, 4, 1, data_bytes),
    ]


def many_scans(times: int) -> bytes:
    """Return a progressive JPEG of 4 megapixels in a few kilobytes, its last scan repeated `times` times."""
    whole = encoded(Image.new("L", (2048, 2048), 90), "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * times + whole[-2:]


def oriented(orientation: int, image: Image.Image | None = None, name: str = "JPEG", **options: Any) -> bytes:
    """Return a picture with an EXIF orientation."""
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(image or photo(), name, exif=exif, **options)
