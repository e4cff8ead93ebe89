"""Colour: from whatever mode and colour space a decoder gives to sRGB.

It takes two steps, so that a large image is never copied whole: `additive` converts strips before scaling,
`to_rgb` the scaled image.
"""

from __future__ import annotations

from panopticon.images.colour.additive import additive
from panopticon.images.colour.code_points import encoding_of
from panopticon.images.colour.encoding import Encoding
from panopticon.images.colour.srgb import to_rgb

__all__ = ["Encoding", "additive", "encoding_of", "to_rgb"]
