"""Reading BMP.

Data that end in zeros may be a black part of the picture, so a half-written BMP that is filled up with zeros
cannot be found out.
Source: Windows GDI, bitmap header types.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from PIL import Image, ImagePalette
from PIL.BmpImagePlugin import BmpImageFile

from panopticon.images.limits import DecodeLimits, check_pixels, check_work
from panopticon.images.picture import Picture
from panopticon.images.readers.bmp import masks, runs
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.reader import Shrink

_RUN_LENGTH_PASSES = 256
"""Passes that a run-length BMP counts as, because it is unpacked by a loop in Python."""
_FILE_HEADER_BYTES = 14
_V1_HEADER_BYTES, _V3_HEADER_BYTES, _V5_HEADER_BYTES = 40, 56, 124
_BITFIELDS, _ALPHA_BITFIELDS = 3, 6
_WITH_MASKS = frozenset({_BITFIELDS, _ALPHA_BITFIELDS})
_USUAL_MASKS = frozenset(
    {
        (16, (0xF800, 0x07E0, 0x001F)),
        (16, (0x7C00, 0x03E0, 0x001F)),
        (32, (0xFF0000, 0xFF00, 0xFF)),
        (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    }
)
"""Bits a pixel and masks that Pillow reads, faster than is done here."""
_EMBEDDED_PROFILE = b"DEBM"
"""The name MBED of a colour space, in the byte order of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """The fields of the header that Pillow does not look at, or not enough."""

    size_bytes: int
    data_at: int
    bits: int
    compression: int
    masks: tuple[int, ...]
    """The bits of red, green, blue and, if there is any, alpha."""
    size_px: tuple[int, int]
    is_top_down: bool
    profile_at: int
    """Place of the ICC profile; 0 if there is none."""
    profile_bytes: int


class _Bmp(BmpImageFile):
    def _open(self) -> None:
        """Keep the depth of palettes that hold greys.

        Pillow takes pixels of four or eight bits for one bit if the palette is black and white, and those of
        four bits for eight if it is a ramp of greys.
        """
        super()._open()
        bits = _header(self.fp.getvalue()).bits  # type: ignore[union-attr]
        if (self.mode, bits) in (("1", 4), ("1", 8), ("L", 1), ("L", 4)):
            greys = bytes((0, 255)) if self.mode == "1" else bytes(range(256))
            self._mode = "P"
            self.palette = ImagePalette.raw("RGB", b"".join(bytes((grey,) * 3) for grey in greys))
            raw_mode = "P" if bits == 8 else f"P;{bits}"
            self.tile = [tile._replace(args=(raw_mode, *tile.args[1:])) for tile in self.tile]  # type: ignore[index]


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a BMP. Raises: Rejected (see `Reader`)."""
    header = _header(encoded)
    if header.compression in _WITH_MASKS and (header.bits, header.masks) not in _USUAL_MASKS:
        return _with_masks(encoded, header, limits)
    image = open_header(_Bmp, encoded, limits)
    if image.tile[0].codec_name == "bmp_rle":
        check_work(image.size, passes=_RUN_LENGTH_PASSES, max_pixels=limits.max_pixels)
        return Picture(image=_unpacked(encoded, header, image.size), stored_size_px=image.size)
    picture = loaded(image)
    _ignore_unset_alpha(image)
    return replace(picture, profile=_profile(encoded, header))


def _with_masks(encoded: bytes, header: _Header, limits: DecodeLimits) -> Picture:
    check_pixels(*header.size_px, limits.max_pixels)
    packed = encoded[header.data_at :]
    image = masks.unpacked(packed, header.size_px, bits=header.bits, masks=header.masks)
    _ignore_unset_alpha(image)
    # A picture that begins with its bottom row is upside down.
    orientation = 1 if header.is_top_down else 4
    profile = _profile(encoded, header)
    return Picture(image=image, stored_size_px=header.size_px, orientation=orientation, profile=profile)


def _ignore_unset_alpha(image: Image.Image) -> None:
    """Make an image opaque that is transparent everywhere: many programs leave the bits of alpha at zero."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image.putalpha(255)


def _profile(encoded: bytes, header: _Header) -> bytes | None:
    return encoded[header.profile_at :][: header.profile_bytes] if header.profile_at else None


def _header(encoded: bytes) -> _Header:
    """Return the fields; those that this header does not have are 0."""
    size_bytes = int.from_bytes(encoded[14:18], "little")
    fields = encoded[_FILE_HEADER_BYTES : _FILE_HEADER_BYTES + size_bytes].ljust(_V5_HEADER_BYTES, b"\0")
    if size_bytes < _V1_HEADER_BYTES:
        # The first header of OS/2 has shorter fields, and only plain pixels.
        width_px, height_px, _, bits = struct.unpack_from("<4H", fields, 4)
        compression = 0
    else:
        width_px, height_px, _, bits, compression = struct.unpack_from("<ll2HL", fields, 4)
    # Masks follow the oldest header that has them, and are part of the others.
    alpha = compression == _ALPHA_BITFIELDS or size_bytes >= _V3_HEADER_BYTES
    masks_at = _FILE_HEADER_BYTES + _V1_HEADER_BYTES
    masks = struct.unpack("<4L", encoded[masks_at : masks_at + 16].ljust(16, b"\0"))
    profile_at, profile_bytes = struct.unpack_from("<LL", fields, 112)
    is_embedded = size_bytes >= _V5_HEADER_BYTES and fields[56:60] == _EMBEDDED_PROFILE
    return _Header(
        size_bytes=size_bytes,
        size_px=(width_px, abs(height_px)),
        is_top_down=height_px < 0,
        data_at=int.from_bytes(encoded[10:14], "little"),
        bits=bits,
        compression=compression,
        masks=masks if alpha and masks[3] else masks[:3],
        profile_at=_FILE_HEADER_BYTES + profile_at if is_embedded else 0,
        profile_bytes=profile_bytes,
    )


def _unpacked(encoded: bytes, header: _Header, size_px: tuple[int, int]) -> Image.Image:
    numbers = runs.unpacked(encoded[header.data_at :], size_px, bits=header.bits)
    palette_at = _FILE_HEADER_BYTES + header.size_bytes
    palette = encoded[palette_at : min(header.data_at, palette_at + 4 * 256)]
    image = Image.frombytes("P", size_px, numbers, "raw", "P", 0, -1)
    image.putpalette(palette, "BGRX")
    return image
