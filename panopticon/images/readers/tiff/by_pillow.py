"""Reading a page by Pillow, for the layouts that it reads rightly."""

from __future__ import annotations

from PIL import Image

from panopticon.images.limits import DecodeLimits, check_work
from panopticon.images.readers.ifd import directories, tags
from panopticon.images.readers.ifd.directories import Directory
from panopticon.images.readers.ifd.tags import Compression, Photometric, SampleFormat
from panopticon.images.readers.pillow import load_pixels, open_header
from panopticon.images.readers.tiff import by_samples
from panopticon.images.readers.tiff.layout import FAX, Alpha, Layout, unsupported
from panopticon.images.readers.tiff.page_file import PageFile
from panopticon.images.reasons import Reason, rejected
from panopticon.images.strips import strips

_STRIP_PX = 250_000
_BIG_ENDIAN_BIG_TIFF = b"MM\0+"
"""Head of the files that Pillow takes for TIFF with offsets of four bytes (Pillow 13)."""
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Second bytes of the markers of frame headers."""
_MAX_PADDING_BYTES = 64
"""Bytes that may follow the end of a JPEG in its strip or tile."""
_READ_RIGHTLY = frozenset(
    {
        *(
            (grey, bits, 1)
            for grey in (Photometric.MIN_IS_WHITE, Photometric.MIN_IS_BLACK)
            for bits in (1, 2, 4, 8)
        ),
        *((Photometric.PALETTE, bits, 1) for bits in (1, 2, 4, 8)),
        (Photometric.MIN_IS_BLACK, 8, 2),
        (Photometric.RGB, 8, 3),
        (Photometric.RGB, 8, 4),
        (Photometric.RGB, 16, 3),
        (Photometric.CMYK, 8, 4),
        (Photometric.YCBCR, 8, 3),
    }
)
"""Meaning, bits of a sample and samples of a pixel."""
_KNOWN_EXTRA = frozenset({0, 1, 2})
"""Values of ExtraSamples: unspecified, premultiplied alpha and straight alpha."""


def can_read(page: Directory, layout: Layout) -> bool:
    """Return whether Pillow reads such a page rightly."""
    if page.encoded.startswith(_BIG_ENDIAN_BIG_TIFF):
        return False
    if layout.compression in FAX:
        return layout.bits == layout.samples == 1
    if not _is_in_table(page, layout):
        return False
    if layout.photometric is Photometric.YCBCR:
        return not layout.bits_reversed
    if layout.compression is Compression.JPEG:
        return True
    # Pillow scrambles planes of sixteen bits or of one sample and drops planes of alpha, takes a palette of
    # eight-bit values for black, and knows reversed bits for few layouts only.
    planes = page.first(tags.PLANAR, 1) == 2
    unusual_planes = planes and (layout.bits > 8 or layout.samples > layout.colours or layout.samples == 1)
    packed_differences = layout.predictor == 2 and layout.bits < 8
    if unusual_planes or packed_differences or layout.bits_reversed:
        return False
    return layout.photometric is not Photometric.PALETTE or _has_usual_palette(page, layout)


def _is_in_table(page: Directory, layout: Layout) -> bool:
    """Return whether the layout is in the table, by tags that mean the same to Pillow as here."""
    extra = page.values(tags.EXTRA_SAMPLES)
    undeclared = layout.photometric is Photometric.RGB and not extra
    return (
        (layout.photometric, layout.bits, layout.samples) in _READ_RIGHTLY
        and {SampleFormat.UNSIGNED}.issuperset(page.values(tags.SAMPLE_FORMAT))
        and _KNOWN_EXTRA.issuperset(extra)
        and (len(extra) == layout.samples - layout.colours or undeclared)
        and tags.PHOTOMETRIC in page.entries
        and (tags.SAMPLES_PER_PIXEL in page.entries or layout.samples == 1)
        and (tags.TILE_OFFSETS in page.entries or not layout.blocks.tiled)
    )


def _has_usual_palette(page: Directory, layout: Layout) -> bool:
    values = page.values(tags.COLOUR_MAP)
    return len(values) >= 3 << layout.bits and max(values) > 255


def read(page: Directory, layout: Layout, limits: DecodeLimits) -> Image.Image:
    """Decode the page.

    Raises: Rejected (`corrupt`, `truncated`, `too_costly`).
    """
    if layout.compression is Compression.JPEG:
        _check_jpegs(page, layout, limits)
    elif layout.photometric is Photometric.YCBCR:
        _check_subsampling(page, layout)
    image = open_header(PageFile, directories.starting_at(page.encoded, page.at), limits)
    load_pixels(image)
    if layout.alpha is not Alpha.NONE and _shows_nothing(image):
        if layout.alpha is Alpha.PREMULTIPLIED:
            # Pillow has divided the colours by alpha, and so lost them.
            return by_samples.read(page, layout, limits)
        image.putalpha(255)
    return image


def _check_jpegs(page: Directory, layout: Layout, limits: DecodeLimits) -> None:
    """Check the size, the end and the work of the JPEG file in each block.

    libtiff paints what is missing, in silence. The marker of a scan cannot occur in its data.
    """
    blocks, scans = layout.blocks, 1
    for index, (at, size) in enumerate(zip(blocks.offsets, blocks.sizes_bytes, strict=True)):
        top = index // blocks.across % blocks.down * blocks.height_px
        size_px = _jpeg_size_px(page.encoded, at, at + size)
        if size_px[0] < blocks.width_px or size_px[1] < min(blocks.height_px, layout.height_px - top):
            raise rejected(Reason.CORRUPT, f"a strip or tile is a JPEG of {size_px[0]} x {size_px[1]} pixels")
        if page.encoded.find(_JPEG_END, at + max(0, size - _MAX_PADDING_BYTES), at + size) < 0:
            raise rejected(Reason.TRUNCATED, "a strip or tile of JPEG compression lacks its end")
        scans = max(scans, page.encoded.count(_JPEG_SCAN, at, at + size))
    check_work((layout.width_px, layout.height_px), passes=scans, max_pixels=limits.max_pixels)


def _jpeg_size_px(encoded: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the width and height that a JPEG gives in its frame header; zeros if it has none."""
    at += 2
    while at + 9 <= end and encoded[at] == 0xFF:
        if encoded[at + 1] in _JPEG_FRAMES:
            return int.from_bytes(encoded[at + 7 : at + 9]), int.from_bytes(encoded[at + 5 : at + 7])
        at += 2 + int.from_bytes(encoded[at + 2 : at + 4])
    return 0, 0


def _check_subsampling(page: Directory, layout: Layout) -> None:
    """Refuse a page that lacks the tag for subsampling, and whose size contradicts the default, 2 x 2."""
    whole_bytes = 3 * layout.blocks.width_px * layout.blocks.height_px
    plain = layout.compression is Compression.NONE and layout.blocks.sizes_bytes[0] >= whole_bytes
    if plain and tags.CHROMA_SUBSAMPLING not in page.entries:
        raise unsupported("YCbCr pixels of unknown subsampling")


def _shows_nothing(image: Image.Image) -> bool:
    """Return whether every pixel is transparent: such an alpha channel was never filled in."""
    for box in strips(image.size, _STRIP_PX):
        strip = image.crop(box)
        if strip.getchannel(len(strip.getbands()) - 1).getextrema() != (0, 0):
            return False
    return True
