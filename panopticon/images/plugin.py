"""Preprocessing of one's own: a plug-in between the picture and the model's input.

A plug-in is called `plugin(picture, width_px, height_px, **options)`. The picture is whole, upright, sRGB,
(H, W, 3) uint8 and read-only; what comes back is (height_px, width_px, 3) uint8 RGB. It may raise `Rejected`;
whatever else it raises is the model's fault. Several threads call it at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import CardError, Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.plugins import EntryPointPlugin

_TRIAL_SIZES_PX = ((1, 1), (3, 700), (600, 5), (480, 640))


def apply_plugin(
    picture: NDArray[np.uint8],
    plugin: EntryPointPlugin,
    *,
    input: Input,  # noqa: A002
    preprocessing: Preprocessing,
) -> NDArray[np.uint8]:
    """(H, W, 3) → (height_px, width_px, 3), C-contiguous.

    Raises: Rejected, if the plug-in does; CardError if it raises anything else, or gives something else.
    """
    picture.flags.writeable = False
    try:
        given = plugin.attribute(picture, input.width_px, input.height_px, **preprocessing.options)
    except Rejected:
        raise
    except Exception as error:
        raise CardError(f"preprocessing plug-in {plugin}: {type(error).__name__}: {error}") from error
    pixels = np.asarray(given)
    expected = (input.height_px, input.width_px, 3)
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise CardError(
            f"preprocessing plug-in {plugin}: from {picture.shape} it makes {pixels.shape} {pixels.dtype}, "
            f"not {expected} uint8"
        )
    return np.ascontiguousarray(pixels)


def try_plugin(plugin: EntryPointPlugin, *, input: Input, preprocessing: Preprocessing) -> None:  # noqa: A002
    """Run it twice over pictures of odd sizes. Raises: CardError, also if two runs differ."""
    random = np.random.default_rng(0)
    for size_px in _TRIAL_SIZES_PX:
        picture = random.integers(0, 256, (*size_px, 3), dtype=np.uint8)
        one, other = (_accepted(picture, plugin, input, preprocessing) for _ in range(2))
        if not np.array_equal(one, other):
            raise CardError(f"preprocessing plug-in {plugin}: it makes two results of one picture")


def _accepted(
    picture: NDArray[np.uint8], plugin: EntryPointPlugin, input_: Input, preprocessing: Preprocessing
) -> NDArray[np.uint8]:
    """What it makes of a picture; no pixels of one that it rejects, which is its right."""
    try:
        return apply_plugin(picture, plugin, input=input_, preprocessing=preprocessing)
    except Rejected:
        return np.empty((0, 0, 3), dtype=np.uint8)
