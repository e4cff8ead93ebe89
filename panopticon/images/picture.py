"""The value that a reader makes of an encoded image: pixels, and what is needed to show them rightly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from panopticon.images.colour import Encoding, to_rgb

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns an image of each EXIF orientation upright (EXIF 2.3, tag 274)."""
_SIDEWAYS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """An image whose pixels are decoded, still at the size and the way up that its decoder gave them."""

    image: Image.Image
    stored_size_px: tuple[int, int]
    """Width and height as the header gives them: before a scaled decode, before turning."""
    orientation: int = 1
    """EXIF orientation, 1 to 8. It is 1 if the decoder has turned the pixels already."""
    profile: bytes | None = None
    """The ICC profile found in the file."""
    encoding: Encoding | None = None
    """The meaning of RGB and grey values in a file without a profile; None: sRGB."""

    def turned(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """Swap width and height if the image lies on its side."""
        return size_px[::-1] if self.orientation in _SIDEWAYS else size_px

    def upright_rgb(self, scaled: Image.Image) -> NDArray[np.uint8]:
        """Return the pixels of `scaled`, which is made of this image, as upright sRGB: (H, W, 3)."""
        rgb = to_rgb(scaled, self.profile, self.encoding)
        turn = _TURNS.get(self.orientation)
        return np.array(rgb if turn is None else rgb.transpose(turn))
