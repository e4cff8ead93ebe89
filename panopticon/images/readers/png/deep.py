"""Samples of sixteen bits, where the upper eight are not enough.

Dark tones of linear light need more than eight bits, and a transparent colour is compared by all sixteen.
Pillow unpacks colours to eight bits only, so the lower bytes are unpacked to a second image.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from panopticon.images.colour import Encoding
from panopticon.images.colour.transfer import linear_to_srgb
from panopticon.images.limits import DecodeLimits
from panopticon.images.readers.pillow import load_pixels, open_header
from panopticon.images.readers.png.chunks import Kind
from panopticon.images.strips import strips

Curve = NDArray[np.uint8]
"""The eight-bit value for each of 65,536 code values."""

_STRIP_PX = 1_000_000
_MODES = {Kind.GREY: "L", Kind.RGB: "RGB", Kind.GREY_ALPHA: "LA", Kind.RGB_ALPHA: "RGBA"}


class _LowerBytes(PngImageFile):
    def _open(self) -> None:
        """Take the second byte of each sample: the upper one, if the byte order were the other one."""
        super()._open()
        self.tile = [tile._replace(args=str(tile.args).replace("16B", "16L")) for tile in self.tile]


class _FourBytes(PngImageFile):
    def _open(self) -> None:
        """Take the four bytes of grey and alpha as if they were four samples."""
        super()._open()
        self._mode = "RGBA"
        self.tile = [tile._replace(args="RGBA") for tile in self.tile]


@lru_cache(maxsize=8)
def curve_of(encoding: Encoding | None) -> Curve:
    """Return the curve from sixteen bits in this encoding to eight bits in the curve of sRGB."""
    codes = np.arange(65_536) / 65_535
    shown = codes if encoding is None else linear_to_srgb(np.clip(encoding.light(codes), 0.0, 1.0))
    return np.rint(shown * 255).astype(np.uint8)


def eight_bits(
    encoded: bytes, kind: Kind, curve: Curve, key: tuple[int, ...] | None, limits: DecodeLimits
) -> Image.Image:
    """Decode a PNG of sixteen bits to L, LA, RGB or RGBA.

    key: the transparent colour, for grey and RGB.

    Raises: Rejected (see `Reader`).
    """
    images = [open_header(plugin, encoded, limits) for plugin in _plugins(kind)]
    for image in images:
        load_pixels(image)
    mode = _MODES[kind] + ("A" if key else "")
    # The upper bytes are overwritten where they have the mode of the result, to save its memory.
    whole = images[0] if images[0].mode == mode else Image.new(mode, images[0].size)
    for box in strips(whole.size, _STRIP_PX):
        samples = _samples([np.asarray(image.crop(box)) for image in images], kind)
        shown = curve[samples]
        if kind in (Kind.GREY_ALPHA, Kind.RGB_ALPHA):
            shown[..., -1] = samples[..., -1] >> 8
        elif key:
            opaque = np.any(samples != np.array(key, dtype=np.uint16), axis=-1, keepdims=True)
            shown = np.concatenate([shown, opaque.astype(np.uint8) * 255], axis=-1)
        whole.paste(Image.fromarray(shown.squeeze(axis=-1) if mode == "L" else shown), box)
    return whole


def _plugins(kind: Kind) -> list[type[PngImageFile]]:
    if kind == Kind.GREY:
        return [PngImageFile]
    return [_FourBytes] if kind == Kind.GREY_ALPHA else [PngImageFile, _LowerBytes]


def _samples(parts: list[NDArray[np.uint8 | np.uint16]], kind: Kind) -> NDArray[np.uint16]:
    """Return the numbers of a strip: (height_px, width_px, samples)."""
    if kind == Kind.GREY:
        return parts[0].astype(np.uint16)[..., np.newaxis]
    upper, lower = (parts[0][..., 0::2], parts[0][..., 1::2]) if kind == Kind.GREY_ALPHA else parts
    return upper.astype(np.uint16) * np.uint16(256) + lower
