"""Colour encodings that are described by numbers instead of an ICC profile, and their conversion to sRGB.

Code values become linear light by a transfer function, light of other primaries becomes light of sRGB's by a
matrix, and what sRGB cannot show is clipped. White of sRGB is the reference white of HDR, 203 cd/m² (ITU-R
BT.2408, table 1): light above it, which only HDR has, becomes white.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from panopticon.images.colour import transfer
from panopticon.images.colour.transfer import Floats

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Cone responses of the linear Bradford transform (ICC.1:2010, annex E)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Primaries:
    """CIE 1931 chromaticities x and y of the three primaries and of white."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float]


D65 = (0.3127, 0.3290)
SRGB = Primaries(red=(0.64, 0.33), green=(0.30, 0.60), blue=(0.15, 0.06), white=D65)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """The meaning of an image's RGB or grey values."""

    primaries: Primaries = SRGB
    to_linear: Callable[[Floats], Floats] = transfer.srgb_to_linear
    """Function from code values of 0 to 1 to light, 1 being the white of sRGB."""
    system_gamma: float = 1.0
    """Exponent of the luminance of the light of a scene that makes it light of a display (BT.2100, OOTF)."""
    narrow: bool = False
    """The range of video: black is 16 and white 235 of 255, instead of 0 and 255."""

    def is_srgb(self) -> bool:
        """Return whether there is nothing to convert."""
        return self == _PLAIN

    def light(self, codes: Floats) -> Floats:
        """Return the light of code values of 0 to 1, each value for itself, before the system gamma."""
        widened = (codes * 255 - 16) / 219 if self.narrow else codes
        return self.to_linear(np.clip(widened, 0.0, 1.0))


_PLAIN = Encoding()


def converted(image: Image.Image, encoding: Encoding) -> Image.Image:
    """Convert an image of mode L or RGB to sRGB."""
    light = _table(encoding)[np.asarray(image.convert("RGB"))]
    if encoding.system_gamma != 1.0:
        luminance = light @ _to_xyz(encoding.primaries)[1]
        light = light * luminance[..., np.newaxis] ** (encoding.system_gamma - 1)
    shown = transfer.linear_to_srgb(np.clip(light @ _matrix(encoding.primaries).T, 0.0, 1.0))
    return Image.fromarray(np.rint(shown * 255).astype(np.uint8))


@lru_cache(maxsize=16)
def _table(encoding: Encoding) -> Floats:
    return encoding.light(np.arange(256) / 255)


@lru_cache(maxsize=16)
def _matrix(primaries: Primaries) -> Floats:
    """Return the matrix from light of these primaries to light of sRGB's, with white becoming white."""
    to_d65 = _adaptation(primaries.white, D65)
    matrix: Floats = np.linalg.inv(_to_xyz(SRGB)) @ to_d65 @ _to_xyz(primaries)
    return matrix


@lru_cache(maxsize=16)
def _to_xyz(primaries: Primaries) -> Floats:
    """Return the matrix from linear RGB to CIE XYZ, in which white has Y = 1 (SMPTE RP 177)."""
    columns = np.stack([_xyz(primaries.red), _xyz(primaries.green), _xyz(primaries.blue)], axis=1)
    matrix: Floats = columns * np.linalg.solve(columns, _xyz(primaries.white))
    return matrix


def _adaptation(source: tuple[float, float], target: tuple[float, float]) -> Floats:
    scale = (_BRADFORD @ _xyz(target)) / (_BRADFORD @ _xyz(source))
    matrix: Floats = np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD
    return matrix


def _xyz(chromaticity: tuple[float, float]) -> Floats:
    x, y = chromaticity
    return np.array([x / y, 1.0, (1 - x - y) / y])
