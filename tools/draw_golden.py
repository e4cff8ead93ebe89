"""Draw the golden image next to each shipped card: a traffic light against the sky.

    python -m tools.draw_golden panopticon/models/tagger/golden.png

It is drawn four times too large and reduced, so that its edges look like those of a photo. The cards have the
SHA-256 of the files as they were written; another version of Pillow may compress the same pixels differently.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image, ImageDraw

SIDE_PX = 256
OVERSAMPLING = 4
LAMPS = ((96, (235, 40, 30)), (128, (245, 190, 40)), (160, (40, 190, 90)))
"""Height of the centre and colour of each lamp."""


def draw() -> Image.Image:
    """Return the image: RGB, `SIDE_PX` square."""
    side = SIDE_PX * OVERSAMPLING
    height = np.linspace(0, 1, side)[:, np.newaxis, np.newaxis]
    top, bottom = np.array([90, 140, 200]), np.array([205, 220, 235])
    sky = np.broadcast_to(top + (bottom - top) * height, (side, side, 3)).astype(np.uint8)
    picture = Image.fromarray(sky)
    pen = ImageDraw.Draw(picture)
    _box(pen, (124, 180, 132, 256), (60, 60, 62))
    _box(pen, (104, 74, 152, 182), (28, 30, 32), radius=10)
    for centre, colour in LAMPS:
        _disc(pen, 128, centre, 15, (10, 10, 12))
        _disc(pen, 128, centre, 13, colour)
    return picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def _box(
    pen: ImageDraw.ImageDraw, corners: tuple[int, ...], fill: tuple[int, int, int], radius: int = 0
) -> None:
    pen.rounded_rectangle([corner * OVERSAMPLING for corner in corners], radius * OVERSAMPLING, fill)


def _disc(pen: ImageDraw.ImageDraw, x: int, y: int, radius: int, fill: tuple[int, int, int]) -> None:
    corners = (x - radius, y - radius, x + radius, y + radius)
    pen.ellipse([corner * OVERSAMPLING for corner in corners], fill)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        draw().save(path, optimize=True)
