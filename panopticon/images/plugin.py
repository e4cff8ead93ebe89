"""Preprocessing plug-ins: custom code that turns an image into the model's input.

A plug-in is called as `plugin(picture, width_px, height_px, **options)`. The picture is whole, upright, sRGB,
(H, W, 3) uint8 and read-only; the result is (height_px, width_px, 3) uint8 RGB. It may raise `Rejected`; any
other exception counts as a fault of the model. Several threads call it at once.
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
    """Call the plug-in: (H, W, 3) → (height_px, width_px, 3), C-contiguous. `picture` becomes read-only.

    Raises: Rejected if it does; CardError if it raises anything else or returns another shape or type.
    """
    picture.flags.writeable = False
    try:
        result = plugin.attribute(picture, input.width_px, input.height_px, **preprocessing.options)
    except Rejected:
        raise
    except Exception as error:
        raise CardError(f"preprocessing plug-in {plugin}: {type(error).__name__}: {error}") from error
    pixels = np.asarray(result)
    expected = (input.height_px, input.width_px, 3)
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise CardError(
            f"preprocessing plug-in {plugin}: from {picture.shape} it makes {pixels.shape} {pixels.dtype}, "
            f"not {expected} uint8"
        )
    return np.ascontiguousarray(pixels)


def try_plugin(plugin: EntryPointPlugin, *, input: Input, preprocessing: Preprocessing) -> None:  # noqa: A002
    """Run the plug-in twice on pictures of odd sizes. Raises: CardError, also if the two runs differ."""
    random = np.random.default_rng(0)
    for size_px in _TRIAL_SIZES_PX:
        picture = random.integers(0, 256, (*size_px, 3), dtype=np.uint8)
        one, other = (_accepted(picture, plugin, input, preprocessing) for _ in range(2))
        if not np.array_equal(one, other):
            raise CardError(
                f"preprocessing plug-in {plugin}: it returns two different results for one picture"
            )


def _accepted(
    picture: NDArray[np.uint8], plugin: EntryPointPlugin, input_: Input, preprocessing: Preprocessing
) -> NDArray[np.uint8]:
    """Return the plug-in's result, or an empty array if it rejects the picture, which it may do."""
    try:
        return apply_plugin(picture, plugin, input=input_, preprocessing=preprocessing)
    except Rejected:
        return np.empty((0, 0, 3), dtype=np.uint8)
