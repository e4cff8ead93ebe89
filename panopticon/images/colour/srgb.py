"""Conversion of a scaled image to sRGB."""

from __future__ import annotations

from PIL import Image

from panopticon.images.colour.encoding import Encoding, converted
from panopticon.images.colour.icc import converted_by_profile


def to_rgb(image: Image.Image, profile: object, encoding: Encoding | None = None) -> Image.Image:
    """Convert an additive image to sRGB, on white where it is transparent.

    profile: the ICC profile found in the file; anything that is not a profile for these colours is ignored.
    encoding: the meaning of the values of an image without a profile; None: sRGB.
    """
    opaque = image.convert("L" if image.mode == "LA" else "RGB") if image.mode in ("LA", "RGBA") else image
    colours = converted_by_profile(opaque, profile)
    if colours is None:
        colours = (
            converted(opaque, encoding) if encoding and not encoding.is_srgb() else opaque.convert("RGB")
        )
    if opaque is image:
        return colours
    paper = Image.new("RGB", image.size, "white")
    paper.paste(colours, mask=image.getchannel("A"))
    return paper
