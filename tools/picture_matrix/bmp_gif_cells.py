"""BMP and GIF, with writers of our own: [MS-WMF] 2.2.2, and the GIF89a specification."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.picture_matrix import picture as pic
from tools.picture_matrix.cells import Cell
from tools.picture_matrix.profiles import rgb_profile
from tools.picture_matrix.tiff_cells import indexed
from tools.picture_matrix.tiff_file import packed_samples

RAW, RLE8, RLE4, BITFIELDS, ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_ARGB = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def cells() -> Iterator[Cell]:
    """Make the cells of BMP and GIF."""
    for name, encoded, reference, must in (*_palettes(), *_sixteen(), *_true_colour(), *_opaque_or_not()):
        yield Cell(name=f"bmp/{name}", encoded=encoded, reference=reference, must_be_right=must)
    for name, encoded, reference in _gifs():
        yield Cell(name=f"gif/{name}", encoded=encoded, reference=reference)


def bmp(
    data: bytes,
    *,
    bits: int,
    size_px: tuple[int, int] = (pic.SIDE_PX, pic.SIDE_PX),
    header_bytes: int = 40,
    compression: int = RAW,
    masks: Sequence[int] = (),
    palette: pic.Pixels | None = None,
    top_down: bool = False,
    profile: bytes = b"",
) -> bytes:
    """Put the headers before pixels that are encoded already."""
    width, height = size_px
    if header_bytes == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        colours = 0 if palette is None else len(palette)
        rows = -height if top_down else height
        info = struct.pack(
            "<IiiHHIIiiII", header_bytes, width, rows, 1, bits, compression, len(data), 2835, 2835, colours, 0
        )
        words = struct.pack(f"<{len(masks)}I", *masks)
        # The first header ends before the masks, later ones include all four.
        info = info + words if header_bytes == 40 else info + words.ljust(16, b"\0")
        if header_bytes >= 108:
            info = (info + (b"DEBM" if profile else b"BGRs")).ljust(header_bytes, b"\0")
    table = b""
    if palette is not None:
        reversed_ = palette[:, ::-1]
        table = reversed_.tobytes() if header_bytes == 12 else np.pad(reversed_, ((0, 0), (0, 1))).tobytes()
    start = 14 + len(info) + len(table)
    if profile:
        info = info[:112] + struct.pack("<III", start - 14 + len(data), len(profile), 0)
    whole = info + table + data + profile
    return b"BM" + struct.pack("<IHHI", 14 + len(whole), 0, 0, start) + whole


def _rows(values: NDArray[Any], bits: int, *, top_down: bool = False) -> bytes:
    """Return rows from the bottom up, each padded to four bytes."""
    ordered = values if top_down else values[::-1]
    rows = (packed_samples(row[None], bits, "<") for row in ordered)
    return b"".join(row + bytes(-len(row) % 4) for row in rows)


def _palettes() -> Iterator[tuple[str, bytes, pic.Pixels, bool]]:
    for bits in (1, 4, 8):
        index, colours = indexed(1 << bits)
        for header in (12, 40, 108, 124):
            data = bmp(_rows(index, bits), bits=bits, header_bytes=header, palette=colours)
            yield f"palette/uint{bits}/header{header}", data, colours[index], True
        data = bmp(_rows(index, bits, top_down=True), bits=bits, palette=colours, top_down=True)
        yield f"palette/uint{bits}/top-down", data, colours[index], True
    index, colours = indexed(256)
    data = bmp(_runs(index), bits=8, compression=RLE8, palette=colours)
    yield "palette/uint8/rle", data, colours[index], True
    index, colours = indexed(16)
    data = bmp(_runs(index, nibbles=True), bits=4, compression=RLE4, palette=colours)
    yield "palette/uint4/rle", data, colours[index], False
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    data = bmp(_rows(pic.grey(), 8), bits=8, palette=grey)
    yield "palette/uint8/grey", data, pic.as_rgb(pic.grey()), True


def _runs(index: pic.Pixels, *, nibbles: bool = False) -> bytes:
    """Return run-length rows; each run is as long as equal pixels last."""
    out = bytearray()
    for row in index[::-1]:
        at = 0
        while at < len(row):
            length = 1
            while at + length < len(row) and row[at + length] == row[at]:
                length += 1
            value = int(row[at])
            out += bytes([length, value * 17 if nibbles else value])
            at += length
        out += b"\0\0"
    return bytes(out) + b"\0\1"


def _sixteen() -> Iterator[tuple[str, bytes, pic.Pixels, bool]]:
    rgb = pic.picture()
    for name, parts, masks, compression in (
        ("x555", (5, 5, 5), (), RAW),
        ("555", (5, 5, 5), (0x7C00, 0x3E0, 0x1F), BITFIELDS),
        ("565", (5, 6, 5), (0xF800, 0x7E0, 0x1F), BITFIELDS),
    ):
        planes = [pic.quantised(rgb[..., at], bits) for at, bits in enumerate(parts)]
        red, green, blue = (plane.astype(np.uint16) for plane in planes)
        packed = (red << (parts[1] + parts[2])) | (green << parts[2]) | blue
        shown = np.dstack([pic.restored(each, bits) for each, bits in zip(planes, parts, strict=True)])
        for header in (40, 108, 124) if masks else (40,):
            data = bmp(_rows(packed, 16), bits=16, header_bytes=header, masks=masks, compression=compression)
            yield f"rgb-{name}/header{header}", data, shown, True


def _true_colour() -> Iterator[tuple[str, bytes, pic.Pixels, bool]]:
    bgr = np.ascontiguousarray(pic.picture()[..., ::-1])
    for header in (12, 40, 108, 124):
        data = bmp(_rows(bgr, 8), bits=24, header_bytes=header)
        yield f"rgb/uint8/header{header}", data, pic.picture(), True
    data = bmp(_rows(bgr, 8, top_down=True), bits=24, top_down=True)
    yield "rgb/uint8/top-down", data, pic.picture(), True
    coded = pic.as_bytes(pic.coded_in(pic.P3, 2.2) * 255)[..., ::-1]
    profile = rgb_profile(pic.P3, 2.2)
    data = bmp(_rows(coded, 8), bits=24, header_bytes=124, profile=profile)
    yield "icc-p3/uint8/header124", data, pic.picture(), False


def _opaque_or_not() -> Iterator[tuple[str, bytes, pic.Pixels, bool]]:
    rgb = pic.picture()
    for name, opacity in (
        ("zero", np.zeros_like(pic.grey())),
        ("opaque", np.full_like(pic.grey(), 255)),
        ("ramp", pic.alpha_ramp()),
        ("mask", pic.alpha_mask()),
    ):
        pixels = np.dstack([rgb[..., ::-1], opacity])
        shown = rgb if name == "zero" else pic.on_white(rgb, opacity / 255)
        # The oldest header has no opacity: the fourth byte means nothing.
        for top_down in (False, True):
            rows = _rows(pixels, 8, top_down=top_down)
            way = "top-down" if top_down else "bottom-up"
            if name in ("zero", "opaque"):
                yield f"rgbx-{name}/header40/{way}", bmp(rows, bits=32, top_down=top_down), rgb, True
            for header in (56, 108, 124):
                data = bmp(
                    rows,
                    bits=32,
                    header_bytes=header,
                    masks=_ARGB,
                    compression=BITFIELDS,
                    top_down=top_down,
                )
                yield f"rgba-{name}/header{header}/{way}", data, shown, True
            data = bmp(
                rows, bits=32, header_bytes=40, masks=_ARGB, compression=ALPHA_BITFIELDS, top_down=top_down
            )
            yield f"rgba-{name}/alpha-bitfields/{way}", data, shown, False
    swapped = np.dstack([rgb, np.zeros_like(pic.grey())])
    data = bmp(_rows(swapped, 8), bits=32, masks=(0xFF, 0xFF00, 0xFF0000), compression=BITFIELDS)
    yield "rgbx-red-first/header40/bottom-up", data, rgb, True


def gif(
    frames: Sequence[pic.Pixels],
    colours: pic.Pixels,
    *,
    clear: int | None = None,
    clear_first: int | None = None,
    interlaced: bool = False,
    local: bool = False,
    offset_px: int = 0,
    version: bytes = b"89a",
) -> bytes:
    """Return a GIF of frames of indices into `colours`.

    clear: index of the transparent colour; clear_first: that of the first frame alone; local: each frame
    brings its colours; offset_px: empty canvas at the left of and above the frames.
    """
    height, width = frames[0].shape
    size = max(1, (len(colours) - 1).bit_length())
    table = colours.tobytes().ljust(3 << size, b"\0")
    screen = struct.pack(
        "<HHBBB", width + offset_px, height + offset_px, 0 if local else 0xF0 | size - 1, 0, 0
    )
    out = b"GIF" + version + screen + (b"" if local else table)
    if len(frames) > 1:
        out += b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    for number, frame in enumerate(frames):
        key = clear if number or clear_first is None else clear_first
        if version == b"89a":
            out += b"!\xf9\x04" + struct.pack("<BHBx", 4 | (key is not None), 8, key or 0)
        flags = (0x80 | size - 1 if local else 0) | (0x40 if interlaced else 0)
        out += b"," + struct.pack("<HHHHB", offset_px, offset_px, width, height, flags)
        rows = [frame[start::step] for start, step in ((0, 8), (4, 8), (2, 4), (1, 2))]
        ordered = np.concatenate(rows) if interlaced else frame
        out += (table if local else b"") + _gif_codes(ordered.tobytes(), max(2, size))
    return out + b";"


def _gif_codes(raw: bytes, bits: int) -> bytes:
    """Return valid LZW that compresses nothing: the table is cleared before its codes grow a bit."""
    run = (1 << bits) - 2
    codes: list[int] = []
    for at in range(0, len(raw), run):
        codes += [1 << bits, *raw[at : at + run]]
    codes.append((1 << bits) + 1)
    shifts = np.arange(bits + 1)
    each_bit = (np.array(codes)[:, None] >> shifts) & 1
    data = np.packbits(each_bit.astype(np.uint8).ravel(), bitorder="little").tobytes()
    parts = (data[at : at + 255] for at in range(0, len(data), 255))
    return bytes([bits]) + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _gifs() -> Iterator[tuple[str, bytes, pic.Pixels]]:
    for count in (2, 4, 16, 64, 256):
        index, colours = indexed(count)
        shown = colours[index]
        yield f"{count}-colours/87a", gif([index], colours, version=b"87a"), shown
        for interlaced in (False, True):
            for local in (False, True):
                data = gif([index], colours, interlaced=interlaced, local=local)
                way = f"{'interlaced' if interlaced else 'rows'}/{'local' if local else 'global'}"
                yield f"{count}-colours/{way}", data, shown
    index, colours = indexed(255)
    colours = np.concatenate([colours, np.zeros((1, 3), np.uint8)])
    hole = pic.alpha_mask() == 0
    holed = np.where(hole, 255, index).astype(np.uint8)
    shown = np.where(hole[..., None], 255, colours[index]).astype(np.uint8)
    for interlaced in (False, True):
        data = gif([holed], colours, clear=255, interlaced=interlaced)
        yield f"transparent/{'interlaced' if interlaced else 'rows'}", data, shown
    other = np.ascontiguousarray(index[::-1, ::-1])
    yield "animated/plain", gif([index, other], colours), colours[index]
    nothing = np.full_like(index, 255)
    yield "animated/first-frame-clear", gif([nothing, index, other], colours, clear=255), colours[index]
    yield "animated/only-first-frame-has-key", gif([nothing, index], colours, clear_first=255), colours[index]
    cut = index[5:, 5:]
    on_canvas = np.full((*index.shape, 3), 255, np.uint8)
    on_canvas[5:, 5:] = colours[cut]
    yield "smaller-than-canvas", gif([cut], colours, clear=255, offset_px=5), on_canvas
