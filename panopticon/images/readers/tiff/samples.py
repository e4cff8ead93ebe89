"""Reading the samples of a TIFF as numbers, band by band, whatever their depth, kind and order.

libtiff, called through Pillow, only unpacks the strips and tiles here: they are given to it as rows of bytes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panopticon.images.readers.ifd.tags import Compression, SampleFormat
from panopticon.images.readers.pillow import reading
from panopticon.images.readers.tiff.layout import Layout, row_bytes, unsupported
from panopticon.images.readers.tiff.page_file import PageFile
from panopticon.images.reasons import Reason, rejected

Samples = NDArray[Any]
"""(rows, width, samples of a pixel)."""

_BAND_SAMPLES = 2_000_000
_UNPACKED = frozenset(
    {
        Compression.NONE,
        Compression.LZW,
        Compression.DEFLATE,
        Compression.OLD_DEFLATE,
        Compression.PACKBITS,
        Compression.LZMA,
        Compression.ZSTD,
    }
)
_WHOLE_BYTES = (8, 16, 32, 64)
_DEPTHS = {
    SampleFormat.UNSIGNED: frozenset({*range(1, 17), 32, 64}),
    SampleFormat.SIGNED: frozenset({8, 16, 32, 64}),
    SampleFormat.FLOAT: frozenset({16, 32, 64}),
}
_LETTERS = {SampleFormat.UNSIGNED: "u", SampleFormat.SIGNED: "i", SampleFormat.FLOAT: "f"}
_REVERSED_BITS = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[
    :, 0
]


def bands_of(encoded: bytes, layout: Layout, wanted: Sequence[int], *, max_bytes: int) -> Iterator[Samples]:
    """Iterate over the wanted samples of the page from top to bottom, in bands of a few million numbers.

    max_bytes: size of all samples together, unpacked.

    Raises: Rejected, at once (`unsupported`, `too_costly`) or at a band (`corrupt`, `truncated`).
    """
    _check(layout, len(wanted), max_bytes)
    return _bands(encoded, layout, wanted)


def _bands(encoded: bytes, layout: Layout, wanted: Sequence[int]) -> Iterator[Samples]:
    if layout.planar:
        planes = [_rows_of(encoded, layout, plane) for plane in wanted]
        for bands in zip(*planes, strict=True):
            yield bands[0] if len(bands) == 1 else np.concatenate(bands, axis=2)
    else:
        every = len(wanted) == layout.samples
        for band in _rows_of(encoded, layout, 0):
            yield band if every else band[..., list(wanted)]


def _check(layout: Layout, wanted: int, max_bytes: int) -> None:
    if layout.compression not in _UNPACKED or layout.bits not in _DEPTHS[layout.sample_format]:
        raise unsupported(layout.packed_name)
    if layout.predictor == 2 and layout.bits not in _WHOLE_BYTES:
        raise unsupported(f"{layout.name} pixels stored as differences")
    samples = wanted if layout.planar else layout.samples
    unpacked_bytes = layout.width_px * layout.height_px * samples * layout.bits // 8
    if unpacked_bytes > max_bytes:
        raise rejected(
            Reason.TOO_COSTLY,
            f"{layout.width_px} x {layout.height_px} pixels of {samples} samples of {layout.bits} bits take "
            f"{unpacked_bytes} bytes; at most {max_bytes}",
        )


def _rows_of(encoded: bytes, layout: Layout, plane: int) -> Iterator[Samples]:
    """Yield the rows of one plane, or of all samples if they are not in planes."""
    blocks = layout.blocks
    channels = 1 if layout.planar else layout.samples
    band_rows = max(1, _BAND_SAMPLES // (blocks.width_px * blocks.across * channels))
    if blocks.tiled:
        # A row of tiles is put together at once: its tiles differ in their columns.
        group, band_rows = 1, blocks.height_px
    else:
        group = max(1, band_rows // blocks.height_px)
    for top in range(0, blocks.down, group):
        down = min(group, blocks.down - top)
        first = (plane * blocks.down + top) * blocks.across
        rows = down * blocks.height_px * (blocks.across if blocks.tiled else 1)
        if not blocks.tiled:
            rows = min(rows, layout.height_px - top * blocks.height_px)
        indexes = range(first, first + down * blocks.across)
        unpacked = _unpacked(encoded, layout, indexes, rows, rows if blocks.tiled else band_rows)
        numbers = (_numbers(band, layout, channels) for band in unpacked)
        yield from (_joined(tiles, layout, top) for tiles in numbers) if blocks.tiled else numbers


def _joined(tiles: Samples, layout: Layout, top: int) -> Samples:
    """Put one row of tiles, which lie below each other, side by side, and cut them to the page."""
    blocks = layout.blocks
    apart = tiles.reshape(blocks.across, blocks.height_px, blocks.width_px, -1)
    row = apart.transpose(1, 0, 2, 3).reshape(blocks.height_px, blocks.across * blocks.width_px, -1)
    return row[: layout.height_px - top * blocks.height_px, : layout.width_px]


def _unpacked(
    encoded: bytes, layout: Layout, indexes: range, rows: int, band_rows: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the bytes of some blocks below each other, in bands: (rows of a band, bytes of a row)."""
    blocks, width_bytes = layout.blocks, row_bytes(layout)
    places = [(blocks.offsets[index], blocks.sizes_bytes[index]) for index in indexes]
    if layout.compression is Compression.NONE:
        whole = blocks.height_px * width_bytes
        sizes = [min(whole, rows * width_bytes - index * whole) for index in range(len(places))]
        parts = [
            np.frombuffer(encoded, np.uint8, size, at) for (at, _), size in zip(places, sizes, strict=True)
        ]
        unpacked = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if layout.bits_reversed:
            unpacked = _REVERSED_BITS[unpacked]
        whole_rows = unpacked.reshape(rows, width_bytes)
        yield from (whole_rows[top : top + band_rows] for top in range(0, rows, band_rows))
        return
    as_rows = _file_of_rows(encoded, layout, places, width_bytes, rows)
    with reading():
        image = PageFile(io.BytesIO(as_rows))
        image.load()
    # One strip may be the whole page, so it is not copied whole.
    for top in range(0, rows, band_rows):
        yield np.asarray(image.crop((0, top, width_bytes, min(top + band_rows, rows))))


def _file_of_rows(
    encoded: bytes, layout: Layout, places: Sequence[tuple[int, int]], width_bytes: int, rows: int
) -> bytes:
    """Return a TIFF that shows the bytes of compressed blocks as an eight-bit grey picture.

    Its strips are the given places of the file.
    """
    count = len(places)
    lists_at = 8 + 2 + 12 * 10 + 4
    data_at = lists_at + 8 * count
    sizes = [size for _, size in places]
    offsets = [data_at + sum_ for sum_ in np.cumsum([0, *sizes[:-1]]).tolist()]
    entries = [
        (256, 4, 1, width_bytes),
        (257, 4, 1, rows),
        (258, 3, 1, 8),
        (259, 3, 1, layout.compression),
        (262, 3, 1, 1),
        (266, 3, 1, 2 if layout.bits_reversed else 1),
        (273, 4, count, lists_at if count > 1 else offsets[0]),
        (277, 3, 1, 1),
        (278, 4, 1, layout.blocks.height_px),
        (279, 4, count, lists_at + 4 * count if count > 1 else sizes[0]),
    ]
    head = [
        b"II*\0",
        struct.pack("<LH", 8, len(entries)),
        *(struct.pack("<HHLL", *entry) for entry in entries),
    ]
    lists = struct.pack(f"<L{2 * count}L", 0, *offsets, *sizes)
    return b"".join([*head, lists, *(encoded[at : at + size] for at, size in places)])


def _numbers(rows: NDArray[np.uint8], layout: Layout, channels: int) -> Samples:
    """Return rows of bytes as numbers: (rows, width of a block, channels)."""
    shape = (len(rows), layout.blocks.width_px, channels)
    if layout.predictor == 3:
        return _undone_float_differences(rows, layout, channels).reshape(shape)
    if layout.bits not in _WHOLE_BYTES:
        return _packed_numbers(rows, layout.bits, shape[1] * channels).reshape(shape)
    size = layout.bits // 8
    # Differences are those of whole numbers, of floats too.
    letter = "u" if layout.predictor == 2 else _LETTERS[layout.sample_format]
    numbers = np.ascontiguousarray(rows).view(f"{layout.order}{letter}{size}").reshape(shape)
    if layout.predictor == 2:
        native = numbers.astype(f"u{size}")
        summed = np.cumsum(native, axis=1, dtype=native.dtype)
        return summed.view(f"{_LETTERS[layout.sample_format]}{size}")
    return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)


def _packed_numbers(rows: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint16]:
    """Return numbers of less than sixteen bits, which follow each other without gaps, highest bit first."""
    each_bit = np.unpackbits(rows, axis=1, count=count * bits).reshape(-1, bits)
    padded = np.zeros((len(each_bit), 16), dtype=np.uint8)
    padded[:, 16 - bits :] = each_bit
    return np.packbits(padded, axis=1).view(">u2").astype(np.uint16)


def _undone_float_differences(rows: NDArray[np.uint8], layout: Layout, channels: int) -> Samples:
    """Undo predictor 3: differences of bytes, those of the highest bytes of a row first (Photoshop TIFF)."""
    size = layout.bits // 8
    # Neighbours of one channel are `channels` bytes apart, through the whole row.
    by_channel = rows.reshape(len(rows), -1, channels)
    summed = np.cumsum(by_channel, axis=1, dtype=np.uint8).reshape(len(rows), size, -1)
    return np.ascontiguousarray(summed.transpose(0, 2, 1)).view(f">f{size}")[..., 0].astype(f"f{size}")
