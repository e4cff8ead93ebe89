"""Questions of the tests of readers: how a picture looks, or why it is rejected."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import decode
from tests import pictures


def shown(encoded: bytes, size_px: tuple[int, int] = (48, 36)) -> NDArray[np.int16]:
    """Return the pixels of the central square, scaled to `size_px`, as numbers that can be subtracted."""
    model = Input(width_px=size_px[0], height_px=size_px[1])
    return decode(encoded, input=model, preprocessing=Preprocessing()).pixels.astype(np.int16)


def colour_of(encoded: bytes) -> tuple[int, ...]:
    """Return the colour at the centre."""
    return tuple(int(value) for value in shown(encoded)[18, 24])


def difference(encoded: bytes, expected: Image.Image) -> float:
    """Return the mean difference, of 255, from a picture in sRGB."""
    return float(np.abs(shown(encoded) - shown(pictures.encoded(expected, "PNG"))).mean())


def rejection_of(encoded: bytes) -> Rejected:
    """Return the rejection of a picture; fail if it is decoded."""
    with pytest.raises(Rejected) as raised:
        shown(encoded)
    assert not any(word in raised.value.detail for word in ("Error", "Exception", "Pillow", "b'"))
    return raised.value


def zero_filled(encoded: bytes, kept: float) -> bytes:
    """Return a file of the same size of which only the first part, such as 0.5, was written."""
    end = int(len(encoded) * kept)
    return encoded[:end] + bytes(len(encoded) - end)
