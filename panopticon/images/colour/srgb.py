"""Conversion of a scaled image to sRGB."""

from __future__ import annotations

from PIL import Image

from panopticon.images.colour.icc import converted_by_profile


def to_rgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert an additive image to sRGB, on white where it is transparent.

    profile: the ICC profile found in the file; anything that is not a profile for these colours is ignored.
    """
    opaque = image.convert("L" if image.mode == "LA" else "RGB") if image.mode in ("LA", "RGBA") else image
    colours = converted_by_profile(opaque, profile) or opaque.convert("RGB")
    if opaque is image:
        return colours
    paper = Image.new("RGB", image.size, "white")
    paper.paste(colours, mask=image.getchannel("A"))
    return paper
