"""Published measures of technical image quality, as functions of Keras tensors on any backend.

All take colours from 0 to 1, as encoded (gamma-compressed sRGB), so that no measure depends on the bit depth
of an image. `rgb` is (N, H, W, 3) and `luma` (N, H, W, 1), both float32, with H and W at least 3; every
result is (N, 1) float32, finite for every image, including flat ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops


def luma(rgb: Any) -> Any:
    """0.2126 R + 0.7152 G + 0.0722 B, (N, H, W, 1), from 0 to 1. Source: ITU-R BT.709-6, item 3.2."""
    return _mixed(rgb, 0.2126, 0.7152, 0.0722)


def sharpness(luma: Any) -> Any:
    """Variance of the luma's Laplacian: 0 for a flat picture, at most 16; a sharp photo has some hundredths.

    Source: Pech-Pacheco, Cristóbal, Chamorro-Martínez, Fernández-Valdivia, "Diatom autofocusing in
    brightfield microscopy: a comparative study", ICPR 2000. On colours from 0 to 255 it is 65025 times this.
    """
    laplacian = _down(luma)[:, :, 1:-1] + _across(luma)[:, 1:-1]
    return _variance(laplacian)


def brightness(luma: Any) -> Any:
    """Mean luma: 0 for black, 1 for white. Source of luma: ITU-R BT.709-6."""
    return _mean(luma)


def contrast(luma: Any) -> Any:
    """Root mean square contrast, the standard deviation of luma: 0 for a flat picture, at most 0.5.

    Source: Peli, "Contrast in complex images", Journal of the Optical Society of America A 7 (10), 1990.
    """
    return ops.sqrt(_variance(luma))


def colourfulness(rgb: Any) -> Any:
    """M = sqrt(var(rg) + var(yb)) + 0.3 sqrt(mean(rg)² + mean(yb)²), rg = R - G, yb = (R + G) / 2 - B.

    0 for every grey picture, below 2 for any; people call 0.06 slightly, 0.18 averagely and 0.43 extremely
    colourful. Source: Hasler and Süsstrunk, "Measuring colourfulness in natural images", SPIE 5007, 2003, on
    colours from 0 to 255, which gives 255 times this.
    """
    red_green, yellow_blue = _mixed(rgb, 1, -1, 0), _mixed(rgb, 0.5, 0.5, -1)
    spread = _variance(red_green) + _variance(yellow_blue)
    cast = ops.square(_mean(red_green)) + ops.square(_mean(yellow_blue))
    return ops.sqrt(spread) + 0.3 * ops.sqrt(cast)


def noise(luma: Any) -> Any:
    """Standard deviation of additive noise: sqrt(π/2) / 6 × mean |second difference, down and across|.

    0 for a flat picture, at most sqrt(π/2) × 8/6 ≈ 1.67; blind to straight edges, but not to fine texture.
    Source: Immerkær, "Fast noise variance estimation", Computer Vision and Image Understanding 64 (2), 1996.
    """
    return math.sqrt(math.pi / 2) / 6 * _mean(ops.abs(_down(_across(luma))))


def _mixed(rgb: Any, red: float, green: float, blue: float) -> Any:
    """Return the weighted sum of the three colours, (N, H, W, 1)."""
    weights = np.array([red, green, blue], dtype=np.float32).reshape(1, 1, 3, 1)
    return ops.conv(rgb, weights, padding="valid")


def _down(x: Any) -> Any:
    """Return the second difference along the height, which becomes 2 less."""
    return x[:, 2:] + x[:, :-2] - 2 * x[:, 1:-1]


def _across(x: Any) -> Any:
    """Return the second difference along the width, which becomes 2 less."""
    return x[:, :, 2:] + x[:, :, :-2] - 2 * x[:, :, 1:-1]


def _mean(x: Any) -> Any:
    """Return the mean, (N, H, W, C) → (N, C), row by row first: one long float32 sum loses digits."""
    return ops.mean(ops.mean(x, axis=2), axis=1)


def _variance(x: Any) -> Any:
    """Return the variance, (N, H, W, C) → (N, C), in two passes.

    The mean of squares minus the square of the mean could become negative.
    """
    mean = ops.expand_dims(_mean(x), (1, 2))
    return _mean(ops.square(x - mean))
