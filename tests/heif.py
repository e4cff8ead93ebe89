"""HEIF files for tests, put together box by box: grids, turns, bursts, gain maps and lies about sizes."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pillow_heif
from PIL import Image

from panopticon.images.readers.iso_media.items import items_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item of a HEIF file. Items are numbered from 1, in the order in which they are given."""

    kind: bytes
    data: bytes
    properties: tuple[bytes, ...] = ()
    references: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    """Type and items that this one refers to, such as `dimg` and the tiles of a grid."""


def encoded(image: Image.Image, *, bits: int = 8, quality: int = 95, **options: object) -> bytes:
    """Encode an image as HEIC with 4:4:4 colour, as one picture; sixteen-bit modes become `bits` bits."""
    file = io.BytesIO()
    if bits == 8:
        made = pillow_heif.from_pillow(image)
    else:
        wide = (np.asarray(image).astype(np.uint16) * 257).tobytes()
        made = pillow_heif.from_bytes(f"{image.mode};16", image.size, wide)
        options["bit_depth"] = bits
    made.save(file, quality=quality, chroma=444, enc_params={"preset": "ultrafast"}, **options)
    return file.getvalue()


def coded(image: Image.Image, *more: bytes, size_px: tuple[int, int] | None = None) -> Item:
    """Return an image, of even width and height, as a coded item with further properties."""
    file = encoded(image)
    at = file.index(b"hvcC") - 4
    configuration = file[at : at + int.from_bytes(file[at : at + 4])]
    items = items_of(file)
    assert items is not None
    (extent,) = items.extents_of(frozenset({b"hvc1"}))
    return Item(
        kind=b"hvc1",
        data=file[extent.start : extent.end],
        properties=(configuration, ispe(*(size_px or image.size)), *more),
    )


def grid(size_px: tuple[int, int], columns: int, tiles: Sequence[int], *more: bytes) -> Item:
    """Return a picture made of tiles, which are items given by their numbers."""
    rows = len(tiles) // columns
    return Item(
        kind=b"grid",
        data=struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size_px),
        properties=(ispe(*size_px), *more),
        references=((b"dimg", tuple(tiles)),),
    )


def box(kind: bytes, *content: bytes) -> bytes:
    """Return a box."""
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def ispe(width_px: int, height_px: int) -> bytes:
    """Return the property of a size."""
    return box(b"ispe", bytes(4), struct.pack(">II", width_px, height_px))


def irot(turns: int) -> bytes:
    """Return the property of quarter turns against the clock."""
    return box(b"irot", bytes([turns]))


def imir(axis: int) -> bytes:
    """Return the property of a mirror: 0 upside down, 1 left to right."""
    return box(b"imir", bytes([axis]))


def icc(profile: bytes) -> bytes:
    """Return the property of an ICC profile."""
    return box(b"colr", b"prof", profile)


def nclx(primaries: int, transfer: int, matrix: int = 6) -> bytes:
    """Return the property of colours by code points (CICP), of full range."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, 0x80))


def auxiliary(urn: bytes) -> bytes:
    """Return the property that says what an auxiliary picture is for."""
    return box(b"auxC", bytes(4), urn, b"\0")


def file_of(items: Sequence[Item], *, primary: int = 1, brand: bytes = b"heic") -> bytes:
    """Return a HEIF file of these items."""
    properties = list(dict.fromkeys(prop for item in items for prop in item.properties))
    entries = []
    associations = []
    references = []
    for number, item in enumerate(items, 1):
        entries.append(box(b"infe", b"\2\0\0\0", struct.pack(">HH4s", number, 0, item.kind), b"\0"))
        indexes = bytes(
            0x80 * (prop[4:8] == b"hvcC") + properties.index(prop) + 1 for prop in item.properties
        )
        associations.append(struct.pack(">HB", number, len(indexes)) + indexes)
        for kind, to in item.references:
            references.append(box(kind, struct.pack(f">HH{len(to)}H", number, len(to), *to)))
    fixed = [
        box(b"hdlr", bytes(8), b"pict", bytes(13)),
        box(b"pitm", bytes(4), struct.pack(">H", primary)),
        box(b"iinf", bytes(4), struct.pack(">H", len(items)), *entries),
        box(
            b"iprp",
            box(b"ipco", *properties),
            box(b"ipma", bytes(4), struct.pack(">I", len(associations)), *associations),
        ),
        *([box(b"iref", bytes(4), *references)] if references else []),
    ]
    head = box(b"ftyp", brand, bytes(4), b"mif1", brand)
    location_bytes = 8 + 4 + 2 + 2 + 14 * len(items)
    at = len(head) + 8 + 4 + sum(map(len, fixed)) + location_bytes + 8
    places = []
    for number, item in enumerate(items, 1):
        places.append(struct.pack(">HHHII", number, 0, 1, at, len(item.data)))
        at += len(item.data)
    location = box(b"iloc", bytes(4), b"\x44\0", struct.pack(">H", len(items)), *places)
    return head + box(b"meta", bytes(4), *fixed, location) + box(b"mdat", *(item.data for item in items))
