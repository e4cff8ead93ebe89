"""Reading camera RAW: the camera's own JPEG of the photo if it is large enough, else the sensor's data.

The JPEG is what the photographer saw, and reading it takes a tenth of the time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image

from panopticon.errors import Rejected
from panopticon.images.limits import DecodeLimits, check_pixels
from panopticon.images.picture import Picture
from panopticon.images.readers import jpeg
from panopticon.images.readers.ifd import tags
from panopticon.images.readers.ifd.directories import DirectoryError, check_values, values_by_directory
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import Reason, rejected

if TYPE_CHECKING:
    import rawpy

_SENSOR_DATA = ((32803,), (34892,))
"""Values of the tag PhotometricInterpretation: colour filter array, and sensor data with all colours."""
_ORIENTATIONS = (1, 2, 4, 3, 5, 8, 6, 7)
"""EXIF orientation of each `flip` of LibRaw: its bits mirror left and right, up and down, and the axes."""
_SRGB_GAMMA = (2.4, 12.92)
_WHITE_AT_LEAST = 0.75
"""Brightest value of a file, as a part of the white that LibRaw knows for its camera, to count as white."""
_ENDS_EMPTY = 2
"""A file is incomplete if its last 1/`_ENDS_EMPTY` has only zeros. Some cameras pad a file with a few."""


def is_inside_tiff(encoded: bytes) -> bool:
    """Return whether a TIFF is a camera's RAW file.

    It is if it says so (DNG, CR2, IIQ), or if one of its directories holds the data of a sensor.
    """
    if encoded[8:10] == b"CR" or encoded[8:12] in (b"IIII", b"MMMM"):
        return True
    return any(
        tags.DNG_VERSION in found or found.get(tags.PHOTOMETRIC) in _SENSOR_DATA
        for found in values_by_directory(encoded)
    )


def _is_dng(encoded: bytes) -> bool:
    return any(tags.DNG_VERSION in found for found in values_by_directory(encoded))


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:
    """Decode a camera RAW. Raises: Rejected (see `Reader`)."""
    if not encoded[len(encoded) - len(encoded) // _ENDS_EMPTY :].strip(b"\0"):
        raise rejected(Reason.TRUNCATED, "nothing but zeros in its second half; the copy is incomplete")
    # LibRaw goes on with other values, and so with other colours.
    try:
        check_values(encoded)
    except DirectoryError as error:
        raise rejected(Reason.TRUNCATED, str(error)) from error
    try:
        import rawpy
    except ImportError as error:
        raise rejected(
            Reason.UNSUPPORTED, "a camera's RAW file; to read these: pip install 'panopticon[raw]'"
        ) from error
    with rawpy.RawPy() as raw:
        with _reading():
            raw.open_buffer(io.BytesIO(encoded))
        sizes = raw.sizes
        check_pixels(sizes.raw_width, sizes.raw_height, limits.max_pixels)
        check_pixels(sizes.width, sizes.height, limits.max_pixels)
        preview = _preview(raw, limits, shrink)
        return preview if preview is not None else _developed(raw, shrink, is_dng=_is_dng(encoded))


def _preview(raw: rawpy.RawPy, limits: DecodeLimits, shrink: Shrink) -> Picture | None:
    """Return the camera's JPEG, or None unless it can be read and has half of the photo's width and height.

    Half is what `_developed` makes of a photo, so nothing is lost.
    """
    import rawpy

    whole_px, orientation = (raw.sizes.width, raw.sizes.height), _ORIENTATIONS[raw.sizes.flip & 7]
    try:
        with _reading():
            thumbnail = raw.extract_thumb()
        if thumbnail.format is not rawpy.ThumbFormat.JPEG or not isinstance(thumbnail.data, bytes):
            return None
        picture = jpeg.read(thumbnail.data, limits=limits, shrink=shrink)
    except Rejected:
        return None
    preview_px = picture.stored_size_px
    if (preview_px[0] >= preview_px[1]) != (whole_px[0] >= whole_px[1]):
        # The camera turned its JPEG, and not the sensor's data.
        whole_px, orientation = whole_px[::-1], 1
    if 2 * preview_px[0] < whole_px[0] or 2 * preview_px[1] < whole_px[1]:
        return None
    # LibRaw's orientation counts, because the EXIF of the embedded JPEG often has none or another.
    return replace(picture, stored_size_px=whole_px, orientation=orientation)


def _developed(raw: rawpy.RawPy, shrink: Shrink, *, is_dng: bool) -> Picture:
    """Return the sensor's data as a photo in sRGB, with the camera's white balance and not brightened."""
    import rawpy

    # Read first, because developing replaces them.
    size_px, flip = (raw.sizes.width, raw.sizes.height), raw.sizes.flip
    with _reading():
        raw.unpack()
        if not (raw.color_matrix.any() or raw.rgb_xyz_matrix.any()):
            raise rejected(
                Reason.UNSUPPORTED,
                "a RAW file of a camera whose colours are not known; save it as DNG or JPEG",
            )
        pixels = raw.postprocess(
            half_size=shrink(size_px) > 1,
            demosaic_algorithm=rawpy.DemosaicAlgorithm.LINEAR,
            use_camera_wb=True,
            output_color=rawpy.ColorSpace.sRGB,
            output_bps=8,
            gamma=_SRGB_GAMMA,
            no_auto_bright=True,
            # A DNG gives its white; for other files it comes from a table, and is less in some of them.
            adjust_maximum_thr=0.0 if is_dng else _WHITE_AT_LEAST,
            # Turned after scaling, like every picture.
            user_flip=0,
        )
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return Picture(image=image, stored_size_px=size_px, orientation=_ORIENTATIONS[flip & 7])


@contextmanager
def _reading() -> Iterator[None]:
    """Turn any exception of LibRaw into Rejected: it reads one file, so they are about that file."""
    import rawpy

    try:
        yield
    except Rejected:
        raise
    except (MemoryError, rawpy.LibRawUnsufficientMemoryError, rawpy.LibRawTooBigError) as error:
        raise rejected(Reason.TOO_COSTLY, "developing it takes too much memory") from error
    except (rawpy.LibRawFileUnsupportedError, rawpy.NotSupportedError) as error:
        raise rejected(
            Reason.UNSUPPORTED, "a RAW file that LibRaw does not read; save it as DNG or JPEG"
        ) from error
    except rawpy.LibRawIOError as error:
        raise rejected(Reason.TRUNCATED, "the sensor's data end early") from error
    except Exception as error:
        raise rejected(Reason.CORRUPT, "the sensor's data are damaged") from error
