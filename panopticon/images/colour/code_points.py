"""Code points of ITU-T H.273 (CICP), by which AVIF, HEIC and PNG name their colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from panopticon.images.colour import transfer
from panopticon.images.colour.encoding import D65, SRGB, Encoding, Primaries
from panopticon.images.colour.transfer import Floats
from panopticon.images.reasons import Reason, rejected

_UNSPECIFIED = frozenset({0, 2, 3})
"""Code points that say nothing; 0 and 3 are reserved."""
_ILLUMINANT_C = (0.310, 0.316)
_SMPTE_170M = Primaries(red=(0.630, 0.340), green=(0.310, 0.595), blue=(0.155, 0.070), white=D65)

_PRIMARIES: Mapping[int, Primaries] = {
    **dict.fromkeys(_UNSPECIFIED, SRGB),
    1: SRGB,
    4: Primaries(red=(0.67, 0.33), green=(0.21, 0.71), blue=(0.14, 0.08), white=_ILLUMINANT_C),
    5: Primaries(red=(0.64, 0.33), green=(0.29, 0.60), blue=(0.15, 0.06), white=D65),
    6: _SMPTE_170M,
    7: _SMPTE_170M,
    8: Primaries(red=(0.681, 0.319), green=(0.243, 0.692), blue=(0.145, 0.049), white=_ILLUMINANT_C),
    9: Primaries(red=(0.708, 0.292), green=(0.170, 0.797), blue=(0.131, 0.046), white=D65),
    11: Primaries(red=(0.680, 0.320), green=(0.265, 0.690), blue=(0.150, 0.060), white=(0.314, 0.351)),
    12: Primaries(red=(0.680, 0.320), green=(0.265, 0.690), blue=(0.150, 0.060), white=D65),
    22: Primaries(red=(0.630, 0.340), green=(0.295, 0.605), blue=(0.155, 0.077), white=D65),
}
"""Chromaticities by colour primaries (H.273, table 2)."""

_HLG = 18
_HLG_SYSTEM_GAMMA = 1.2
"""The system gamma for a display of 1,000 cd/m² (BT.2100, table 5)."""

_TRANSFERS: Mapping[int, Callable[[Floats], Floats]] = {
    **dict.fromkeys(_UNSPECIFIED, transfer.srgb_to_linear),
    # The curve of cameras for SDR video. Its pictures look right on screens of sRGB as they are, and browsers
    # show them so; the inverse of the camera's curve would make them too bright.
    1: transfer.srgb_to_linear,
    6: transfer.srgb_to_linear,
    14: transfer.srgb_to_linear,
    15: transfer.srgb_to_linear,
    4: transfer.Power(2.2),
    5: transfer.Power(2.8),
    8: transfer.linear,
    13: transfer.srgb_to_linear,
    16: transfer.pq,
    17: transfer.cinema,
    _HLG: transfer.hlg,
}
"""Functions to linear light by transfer characteristics (H.273, table 3)."""


def encoding_of(primaries: int, transfer_characteristics: int, *, narrow: bool = False) -> Encoding:
    """Return the encoding that two code points name; what they leave unspecified is that of sRGB.

    narrow: whether the RGB values have the range of video (16 to 235 of 255), as a PNG may. Decoders of AVIF
    and HEIC widen the range themselves.

    Raises: Rejected (`unsupported`) for code points that are reserved, or not of photos.
    """
    if primaries not in _PRIMARIES or transfer_characteristics not in _TRANSFERS:
        raise rejected(
            Reason.UNSUPPORTED,
            f"its colour space is not known here (CICP {primaries}/{transfer_characteristics}); "
            "save it as sRGB, Display P3 or HDR (PQ, HLG)",
        )
    return Encoding(
        primaries=_PRIMARIES[primaries],
        to_linear=_TRANSFERS[transfer_characteristics],
        system_gamma=_HLG_SYSTEM_GAMMA if transfer_characteristics == _HLG else 1.0,
        narrow=narrow,
    )
