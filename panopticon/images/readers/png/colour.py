"""The colours that the chunks of a PNG name.

The first of these counts: cICP, iCCP, sRGB, and gAMA with cHRM (PNG, Third Edition, section 11.3.2).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from panopticon.images.colour import Encoding, encoding_of
from panopticon.images.colour.encoding import SRGB, Primaries
from panopticon.images.colour.transfer import Power

CICP_BYTES = 4
_SRGB_GAMMA = 0.45455
_GAMMA_TOLERANCE = 0.05
"""Share by which a gamma may differ from that of sRGB and still mean sRGB, as in libpng."""
_GAMMA_RANGE = (0.2, 5.0)
"""Gammas outside are mistakes of the writer, and ignored."""


def encoding_from(contents: Mapping[bytes, bytes]) -> Encoding | None:
    """Return the encoding that the contents of a file's chunks name; None: sRGB, or the ICC profile's.

    Raises: Rejected (`unsupported`).
    """
    if len(contents.get(b"cICP", b"")) == CICP_BYTES:
        primaries, transfer, _, full_range = contents[b"cICP"]
        encoding = encoding_of(primaries, transfer, narrow=not full_range)
    elif b"iCCP" in contents or b"sRGB" in contents:
        return None
    else:
        encoding = _by_gamma(contents.get(b"gAMA", b""), contents.get(b"cHRM", b""))
    return None if encoding.is_srgb() else encoding


def _by_gamma(gamma_chunk: bytes, primaries_chunk: bytes) -> Encoding:
    encoding = Encoding(primaries=_primaries(primaries_chunk))
    gamma = int.from_bytes(gamma_chunk) / 100_000 if len(gamma_chunk) == 4 else _SRGB_GAMMA
    is_mistake = not _GAMMA_RANGE[0] <= gamma <= _GAMMA_RANGE[1]
    if is_mistake or abs(gamma / _SRGB_GAMMA - 1) <= _GAMMA_TOLERANCE:
        return encoding
    return replace(encoding, to_linear=Power(1 / gamma))


def _primaries(chunk: bytes) -> Primaries:
    """Return the primaries of a cHRM chunk, or those of sRGB if it has none that make a colour space."""
    if len(chunk) != 32:
        return SRGB
    values = [value / 100_000 for value in struct.unpack(">8L", chunk)]
    white, red, green, blue = ((values[at], values[at + 1]) for at in range(0, 8, 2))
    edges = np.array([(green[0] - red[0], green[1] - red[1]), (blue[0] - red[0], blue[1] - red[1])])
    # Primaries on a line, on the axis or outside the diagram make no colour space.
    within = all(0 <= x <= 1 and 0 < y <= 1 for x, y in (red, green, blue))
    near_white = all(0.2 <= value <= 0.5 for value in white)
    if not within or not near_white or abs(np.linalg.det(edges)) < 0.01:
        return SRGB
    return Primaries(red=red, green=green, blue=blue, white=white)
