"""Transfer functions: from code values of 0 to 1 to light, where 1 is the white of sRGB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_REFERENCE_WHITE = 203.0
"""cd/m² of a sheet of white paper in HDR (ITU-R BT.2408, table 1)."""
_CINEMA_WHITE, _CINEMA_PEAK = 48.0, 52.37
"""cd/m² of white in a cinema and of the largest code value (SMPTE ST 428-1)."""


@dataclass(frozen=True, slots=True)
class Power:
    """The function that raises code values to a power, such as 2.2."""

    exponent: float

    def __call__(self, codes: Floats) -> Floats:
        """Decode."""
        light: Floats = codes**self.exponent
        return light


def srgb_to_linear(codes: Floats) -> Floats:
    """Decode by the curve of sRGB (IEC 61966-2-1)."""
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: Floats) -> Floats:
    """Encode light of 0 to 1 by the curve of sRGB (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def linear(codes: Floats) -> Floats:
    """Decode code values that are proportional to light (ITU-T H.273, transfer characteristics 8)."""
    return codes


def cinema(codes: Floats) -> Floats:
    """Decode digital cinema (SMPTE ST 428-1; H.273, transfer characteristics 17)."""
    return codes**2.6 * (_CINEMA_PEAK / _CINEMA_WHITE)


def pq(codes: Floats) -> Floats:
    """Decode the perceptual quantiser, whose largest code value is 10,000 cd/m² (BT.2100, table 4)."""
    root = codes ** (32 / 2523)
    ratio = np.maximum(root - 107 / 128, 0.0) / (2413 / 128 - 2392 / 128 * root)
    light: Floats = ratio ** (8192 / 1305) * (10_000 / _REFERENCE_WHITE)
    return light


def hlg(codes: Floats) -> Floats:
    """Decode hybrid log-gamma to light of the scene (BT.2100, table 5).

    It is scaled so that a system gamma of 1.2, that of a display of 1,000 cd/m², gives light of the display.
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene: Floats = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    light: Floats = scene * (1_000 / _REFERENCE_WHITE) ** (1 / 1.2)
    return light
