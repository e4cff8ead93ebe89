"""Generated photos, so that a benchmark needs no data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter


def make_photos(folder: Path, *, count: int, width_px: int, height_px: int, seed: int = 1) -> list[Path]:
    """Make different JPEGs of quality 85 with the smooth areas, edges and grain of photos."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    base = [_scene(random, width_px, height_px) for _ in range(min(count, 16))]
    paths = [folder / f"{number:06}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        # A shifted scene is a different file, and costs much less than a new scene.
        shifted = Image.fromarray(np.roll(np.asarray(base[number % len(base)]), number * 7, axis=1))
        shifted.save(path, quality=85)
    return paths


def _scene(random: np.random.Generator, width_px: int, height_px: int) -> Image.Image:
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    scene = Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BICUBIC)
    fine = random.normal(0, 12, (height_px, width_px, 3))
    grainy = np.clip(np.asarray(scene, dtype=np.float64) + fine, 0, 255).astype(np.uint8)
    return Image.fromarray(grainy).filter(ImageFilter.GaussianBlur(0.7))
