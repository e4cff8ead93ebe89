"""The picture of every cell, and what it becomes in other colour spaces."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

SIDE_PX = 37
"""Side of every picture; odd, so that rows of less than a byte a pixel, tiles and chroma need padding."""

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1.0, 0.8249])
D65_XY = (0.3127, 0.3290)


@cache
def picture(height_px: int = SIDE_PX, width_px: int = SIDE_PX) -> Pixels:
    """Return a picture with strong colours and texture that is not symmetric in any way: (H, W, 3)."""
    y, x = np.mgrid[0:height_px, 0:width_px].astype(float)
    y, x = y / height_px, x / width_px
    red = 30 + 215 * np.exp(-((x - 0.3) ** 2 + (y - 0.35) ** 2) / 0.06)
    green = 45 + 150 * y + 18 * np.sin(x * 23)
    blue = 225 - 180 * x + 15 * np.sin(y * 19)
    pixels = np.stack([red, green, blue], axis=-1)
    for left, right, top, bottom, colour in (
        (0.62, 0.90, 0.08, 0.30, (238, 24, 20)),
        (0.08, 0.30, 0.70, 0.94, (18, 205, 40)),
        (0.55, 0.75, 0.60, 0.80, (250, 235, 40)),
        (0.05, 0.20, 0.05, 0.20, (8, 10, 12)),
        (0.80, 0.97, 0.75, 0.97, (252, 250, 248)),
    ):
        pixels[(x >= left) & (x < right) & (y >= top) & (y < bottom)] = colour
    return frozen(as_bytes(pixels))


@cache
def soft() -> Pixels:
    """Return the picture without its edges, for encoders that keep one chroma sample for several pixels."""
    padded = np.pad(picture().astype(float), ((4, 4), (4, 4), (0, 0)), mode="edge")
    blurred = np.lib.stride_tricks.sliding_window_view(padded, (9, 9), axis=(0, 1)).mean(axis=(-2, -1))
    # Averaging also takes colour away; this restores a part of it.
    return frozen(as_bytes(blurred + 0.4 * (blurred - blurred.mean(axis=-1, keepdims=True))))


def frozen(pixels: Pixels) -> Pixels:
    """Return the same array, read-only, since it is shared."""
    pixels.setflags(write=False)
    return pixels


@cache
def grey() -> Pixels:
    """Return the picture's luma: (H, W)."""
    return frozen(as_bytes(picture() @ np.array([0.299, 0.587, 0.114])))


def as_rgb(values: Pixels) -> Pixels:
    """Return a grey picture with three equal channels."""
    return np.repeat(values[..., None], 3, axis=-1)


def as_bytes(values: Floats) -> Pixels:
    """Round and clip to 0 … 255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def quantised(values: Pixels, bits: int) -> NDArray[np.uint64]:
    """Return 0 … 255 as whole numbers of `bits` bits."""
    top = (1 << bits) - 1
    # Multiples of 255 are exact, where a product in floating point loses the last of 64 bits.
    if bits % 8 == 0:
        return values.astype(np.uint64) * np.uint64(top // 255)
    return np.rint(values / 255 * top).astype(np.uint64)


def restored(values: NDArray[np.uint64], bits: int) -> Pixels:
    """Return whole numbers of `bits` bits as 0 … 255."""
    return as_bytes(values.astype(float) / float((1 << bits) - 1) * 255)


def on_white(colours: Pixels, alpha: Floats) -> Pixels:
    """Return the picture that shows on white paper; alpha: 0 … 1, (H, W)."""
    return as_bytes(colours * alpha[..., None] + 255 * (1 - alpha[..., None]))


@cache
def alpha_ramp() -> Pixels:
    """Return an opacity with clear, opaque and half-transparent parts: (H, W)."""
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(float) / SIDE_PX
    return frozen(as_bytes(255 * np.clip(1.6 * x + 0.5 * y - 0.3, 0, 1)))


@cache
def alpha_mask() -> Pixels:
    """Return an opacity of 0 and 255 only: (H, W)."""
    return frozen(((alpha_ramp() > 127) * 255).astype(np.uint8))


def linear(values: Floats) -> Floats:
    """Return the light of sRGB values; both 0 … 1."""
    return np.asarray(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4))


def gamma_coded(light: Floats) -> Floats:
    """Return the sRGB values of light; both 0 … 1."""
    light = np.clip(light, 0, 1)
    return np.asarray(np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055))


def primaries(xy: tuple[float, ...], white_xy: tuple[float, float] = D65_XY) -> Floats:
    """Return the matrix from linear RGB to XYZ, white adapted to D50; xy: of red, green and blue."""

    def column(x: float, y: float) -> Floats:
        return np.array([x / y, 1.0, (1 - x - y) / y])

    matrix = np.stack([column(*xy[at : at + 2]) for at in (0, 2, 4)], axis=1)
    white = column(*white_xy)
    matrix = matrix * np.linalg.solve(matrix, white)
    adapted = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    return np.asarray(np.linalg.inv(BRADFORD) @ adapted @ BRADFORD @ matrix)


SRGB_XY = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3_XY = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
ADOBE_XY = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
PROPHOTO_XY = (0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)
REC2020_XY = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
SRGB = primaries(SRGB_XY)
P3 = primaries(P3_XY)
ADOBE = primaries(ADOBE_XY)
PROPHOTO = primaries(PROPHOTO_XY, (0.3457, 0.3585))
REC2020 = primaries(REC2020_XY)


def light_in(space: Floats, pixels: Pixels | None = None) -> Floats:
    """Return the picture, or other pixels, as linear light in the primaries of `space`: (H, W, 3), 0 … 1."""
    chosen = picture() if pixels is None else pixels
    return np.clip(linear(chosen / 255) @ (np.linalg.inv(space) @ SRGB).T, 0, 1)


def coded_in(space: Floats, gamma: float | None = None, pixels: Pixels | None = None) -> Floats:
    """Return the picture in `space`, 0 … 1, with a power curve, or with that of sRGB if there is no gamma."""
    light = light_in(space, pixels)
    return gamma_coded(light) if gamma is None else np.asarray(light ** (1 / gamma))


def pq_coded(light: Floats) -> Floats:
    """Return the PQ signal of light, where 1.0 is white of 203 cd/m² (SMPTE ST 2084)."""
    power = np.clip(light * 203 / 10000, 0, 1) ** 0.1593017578125
    return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def hlg_coded(light: Floats) -> Floats:
    """Return the HLG signal of light in Rec. 2020 primaries, where 1.0 is 203 of 1000 cd/m² (BT.2100)."""
    shown = light * 0.203
    luminance = shown @ np.array([0.2627, 0.6780, 0.0593])
    scene = shown * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    upper = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper))


def lab() -> Floats:
    """Return the picture in CIELAB for D50: (H, W, 3), L 0 … 100."""
    relative = (linear(picture() / 255) @ SRGB.T) / D50
    root = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ycc(rgb: Floats | Pixels) -> Floats:
    """Return the full-range Y, Cb and Cr of JPEG (BT.601): (H, W, 3), 0 … 255."""
    matrix = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    return np.asarray(rgb @ np.array(matrix).T + np.array([0, 128, 128]))


def inks(*, black: bool = False, pixels: Pixels | None = None) -> Pixels:
    """Return the picture, or other pixels, as cyan, magenta, yellow and black, 255 for full ink: (H, W, 4).

    black: whether the share of black is moved into the fourth ink; paper shows (1 - ink) × (1 - black).
    """
    missing = 1 - (picture() if pixels is None else pixels) / 255
    key = missing.min(axis=-1, keepdims=True) * (0.8 if black else 0)
    return as_bytes(255 * np.concatenate([(missing - key) / (1 - key), key], axis=-1))
