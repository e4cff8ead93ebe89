"""The way in which a page's samples are stored, from its directory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np

from panopticon.errors import Rejected
from panopticon.images.readers.ifd import tags
from panopticon.images.readers.ifd.directories import MAX_VALUES, Directory
from panopticon.images.readers.ifd.tags import Compression, Photometric, SampleFormat
from panopticon.images.reasons import Reason, rejected

_MAX_TILE_PX = 4096 * 4096
FAX = frozenset({Compression.FAX_RLE, Compression.FAX_GROUP_3, Compression.FAX_GROUP_4})
_WITH_PREDICTOR = frozenset(
    {Compression.LZW, Compression.DEFLATE, Compression.OLD_DEFLATE, Compression.LZMA, Compression.ZSTD}
)
_COLOURS = {
    Photometric.MIN_IS_WHITE: 1,
    Photometric.MIN_IS_BLACK: 1,
    Photometric.RGB: 3,
    Photometric.PALETTE: 1,
    Photometric.CMYK: 4,
    Photometric.YCBCR: 3,
    Photometric.CIELAB: 3,
    Photometric.ICCLAB: 3,
}
_PREMULTIPLIED = 1
_ALPHA_KINDS = frozenset({_PREMULTIPLIED, 2, 999})
"""Values of ExtraSamples that make a sample alpha; 999 is Corel Draw's."""
_UNDECLARED_ALPHA = frozenset({Photometric.MIN_IS_BLACK, Photometric.RGB})


class Alpha(StrEnum):
    """The meaning of the first extra sample that is not ignored."""

    NONE = "none"
    STRAIGHT = "straight"
    PREMULTIPLIED = "premultiplied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The strips or tiles of a page: all of one size, but for the last strip, which may be shorter."""

    width_px: int
    height_px: int
    across: int
    down: int
    tiled: bool
    offsets: tuple[int, ...]
    sizes_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The layout of a page's samples."""

    width_px: int
    height_px: int
    photometric: Photometric
    compression: Compression
    bits: int
    """Bits of each sample."""
    sample_format: SampleFormat
    samples: int
    """Samples of each pixel."""
    colours: int
    """Samples of each pixel that are colours; they come first."""
    alpha: Alpha
    alpha_at: int
    """Index of the sample that is alpha, if there is one."""
    planar: bool
    """True if each sample has blocks of its own."""
    order: Literal["<", ">"]
    bits_reversed: bool
    """True if the first pixel is in the lowest bit of a byte (FillOrder 2)."""
    predictor: int
    """1: none; 2: differences of neighbours; 3: differences of the bytes of floats."""
    blocks: Blocks

    @property
    def name(self) -> str:
        """A name for people, such as `16-bit floating-point CMYK`."""
        kinds = {SampleFormat.SIGNED: "signed ", SampleFormat.FLOAT: "floating-point "}
        return f"{self.bits}-bit {kinds.get(self.sample_format, '')}{tags.COLOUR_NAMES[self.photometric]}"

    @property
    def packed_name(self) -> str:
        """The name with the compression, such as `12-bit grey pixels in JPEG compression`."""
        packed = "" if self.compression is Compression.NONE else f" in {self.compression.words}"
        return f"{self.name} pixels{packed}"


def unsupported(what: str) -> Rejected:
    """Make the error for a variant of TIFF that is not decoded.

    what: what the file contains, such as `24-bit RGB pixels`.
    """
    return rejected(
        Reason.UNSUPPORTED,
        f"a TIFF with {what} is not supported; export it as an 8-bit or 16-bit RGB TIFF, or as JPEG",
    )


def layout_of(page: Directory) -> Layout:
    """Find the layout of a page whose size is known to be within the limits.

    Raises: Rejected (`unsupported`, `corrupt`, `truncated`, `too_costly`).
    """
    compression = _compression(page)
    samples, bits, sample_format = _samples(page)
    photometric = _photometric(page, samples, compression)
    colours = _COLOURS[photometric]
    if photometric is Photometric.CMYK and page.first(tags.INK_SET, 1) != 1:
        raise unsupported("inks other than cyan, magenta, yellow and black")
    if samples < colours:
        raise rejected(
            Reason.CORRUPT,
            f"{tags.COLOUR_NAMES[photometric]} of {samples} samples a pixel, which takes {colours}",
        )
    alpha, alpha_at = _alpha(page, photometric, samples)
    planar = samples > 1 and page.first(tags.PLANAR, 1) == 2
    predictor = page.first(tags.PREDICTOR, 1) if compression in _WITH_PREDICTOR else 1
    layout = Layout(
        width_px=page.first(tags.WIDTH),
        height_px=page.first(tags.HEIGHT),
        photometric=photometric,
        compression=compression,
        bits=bits,
        sample_format=sample_format,
        samples=samples,
        colours=colours,
        alpha=alpha,
        alpha_at=alpha_at,
        planar=planar,
        order=page.order,
        bits_reversed=page.first(tags.FILL_ORDER, 1) == 2,
        predictor=predictor,
        blocks=_blocks(page, planes=samples if planar else 1),
    )
    if predictor not in (1, 2, 3) or (predictor == 3 and sample_format is not SampleFormat.FLOAT):
        raise rejected(Reason.CORRUPT, f"predictor {predictor} for {layout.name} pixels")
    _check_ends(page, layout)
    return layout


def check_tiles(page: Directory) -> None:
    """Raise Rejected (`too_costly`) for tiles larger than the image: they are unpacked whole."""
    image_px = page.first(tags.WIDTH) * page.first(tags.HEIGHT)
    tile_px = page.first(tags.TILE_WIDTH) * page.first(tags.TILE_HEIGHT)
    if tile_px > max(_MAX_TILE_PX, image_px):
        raise rejected(Reason.TOO_COSTLY, f"tiles of {tile_px} pixels")


def _compression(page: Directory) -> Compression:
    number = page.first(tags.COMPRESSION, 1)
    if tags.WINDOWS_MEDIA_PHOTO in page.entries:
        raise unsupported("JPEG XR compression")
    try:
        return Compression(number)
    except ValueError:
        raise unsupported(tags.OTHER_COMPRESSIONS.get(number, f"compression {number}")) from None


def _samples(page: Directory) -> tuple[int, int, SampleFormat]:
    """Return the number of samples of a pixel, and the bits and the kind of number that all of them have."""
    depths = page.values(tags.BITS_PER_SAMPLE) or (1,)
    samples = page.first(tags.SAMPLES_PER_PIXEL, len(depths))
    depths, formats = depths[:samples], page.values(tags.SAMPLE_FORMAT)[:samples]
    if not depths or len(depths) not in (1, samples):
        raise rejected(Reason.CORRUPT, f"{samples} samples a pixel, and the depth of {len(depths)}")
    if len(set(depths)) > 1:
        raise unsupported(f"channels of different depths ({', '.join(map(str, depths[:8]))} bits)")
    is_lab = page.first(tags.PHOTOMETRIC) == Photometric.CIELAB
    # Some programs mark the signed a and b of Lab as signed, others leave that to the colour space.
    if len(set(formats)) > 1 and not is_lab:
        raise unsupported("channels of different kinds")
    try:
        sample_format = SampleFormat(formats[0]) if formats else SampleFormat.UNSIGNED
    except ValueError:
        raise unsupported("complex numbers as pixels") from None
    if sample_format is SampleFormat.UNDEFINED:
        sample_format = SampleFormat.UNSIGNED
    return samples, depths[0], sample_format


def _photometric(page: Directory, samples: int, compression: Compression) -> Photometric:
    if not page.values(tags.PHOTOMETRIC):
        # Old programs leave it out where it seems obvious.
        if compression in FAX:
            return Photometric.MIN_IS_WHITE
        if samples == 3:
            return Photometric.RGB
        raise rejected(Reason.CORRUPT, "it does not give the meaning of its samples")
    number = page.first(tags.PHOTOMETRIC)
    if number in tags.OTHER_PHOTOMETRICS:
        raise unsupported(tags.OTHER_PHOTOMETRICS[number])
    try:
        return Photometric(number)
    except ValueError:
        raise unsupported(f"colours of an unknown kind ({number})") from None


def _alpha(page: Directory, photometric: Photometric, samples: int) -> tuple[Alpha, int]:
    """Return the kind and the index of the sample that is alpha; unspecified samples are ignored."""
    colours = _COLOURS[photometric]
    declared = page.values(tags.EXTRA_SAMPLES)[: samples - colours]
    for index, kind in enumerate(declared, start=colours):
        if kind in _ALPHA_KINDS:
            return Alpha.PREMULTIPLIED if kind == _PREMULTIPLIED else Alpha.STRAIGHT, index
    if not declared and samples == colours + 1 and photometric in _UNDECLARED_ALPHA:
        return Alpha.STRAIGHT, colours
    return Alpha.NONE, 0


def _blocks(page: Directory, planes: int) -> Blocks:
    width_px, height_px = page.first(tags.WIDTH), page.first(tags.HEIGHT)
    tiled = tags.TILE_WIDTH in page.entries or tags.TILE_OFFSETS in page.entries
    if tiled:
        block_px = page.first(tags.TILE_WIDTH), page.first(tags.TILE_HEIGHT)
    else:
        block_px = width_px, min(height_px, page.first(tags.ROWS_PER_STRIP, height_px))
    if min(block_px) <= 0:
        raise rejected(Reason.CORRUPT, f"strips or tiles of {block_px[0]} x {block_px[1]} pixels")
    across, down = -(-width_px // block_px[0]), -(-height_px // block_px[1])
    # Some programs write the offsets of tiles with the tag for strips.
    offsets = page.values(tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS) or page.values(
        tags.STRIP_OFFSETS
    )
    sizes = page.values(tags.TILE_BYTES if tiled else tags.STRIP_BYTES) or page.values(tags.STRIP_BYTES)
    needed = across * down * planes
    if needed > MAX_VALUES:
        raise rejected(Reason.TOO_COSTLY, f"{needed} strips or tiles; at most {MAX_VALUES}")
    if len(offsets) < needed or (sizes and len(sizes) < needed):
        raise rejected(
            Reason.CORRUPT, f"{min(len(offsets), len(sizes or offsets))} of {needed} strips or tiles"
        )
    if not sizes:
        sizes = tuple(max(0, len(page.encoded) - offset) for offset in offsets)
    return Blocks(
        width_px=block_px[0],
        height_px=block_px[1],
        across=across,
        down=down,
        tiled=tiled,
        offsets=offsets[:needed],
        sizes_bytes=sizes[:needed],
    )


def _check_ends(page: Directory, layout: Layout) -> None:
    """Check that the blocks are there, lie inside the file, and are together no larger than it."""
    blocks, file_bytes = layout.blocks, len(page.encoded)
    offsets = np.array(blocks.offsets, dtype=np.float64)
    sizes = np.array(blocks.sizes_bytes, dtype=np.float64)
    uncompressed = layout.compression is Compression.NONE and layout.photometric is not Photometric.YCBCR
    if not offsets.all() or not (uncompressed or sizes.all()):
        raise rejected(Reason.CORRUPT, "the file contains no data for some of its strips or tiles")
    if uncompressed:
        # The given sizes are often wrong here, and not needed.
        sizes[:] = row_bytes(layout) * blocks.height_px
        if not blocks.tiled:
            last_px = layout.height_px - (blocks.down - 1) * blocks.height_px
            sizes[blocks.down - 1 :: blocks.down] = row_bytes(layout) * last_px
    elif sizes.sum() > file_bytes:
        # Overlapping blocks would let a small file cause work without end.
        if sizes.max() > file_bytes:
            raise rejected(Reason.TRUNCATED, "a strip or tile ends after the end of the file")
        raise rejected(Reason.CORRUPT, "strips or tiles overlap")
    past = int((offsets + sizes).max()) - file_bytes
    if past > 0:
        raise rejected(Reason.TRUNCATED, f"a strip or tile ends {past} bytes after the end of the file")


def row_bytes(layout: Layout) -> int:
    """Return the size of one row of a block, unpacked; its last byte may have spare bits."""
    samples = 1 if layout.planar else layout.samples
    return -(-layout.blocks.width_px * samples * layout.bits // 8)
