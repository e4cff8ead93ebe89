"""WebP: lossless and lossy, opacity, profiles, orientation and animation."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tools.picture_matrix import picture as pic
from tools.picture_matrix.cells import LOSSLESS_TOLERANCE, LOSSY_TOLERANCE, Cell
from tools.picture_matrix.profiles import cmyk_profile, rgb_profile
from tools.picture_matrix.turning import exif, stored_for


def webp(pixels: pic.Pixels, **options: Any) -> bytes:
    """Encode pixels; without options, lossless and with the colours of clear pixels kept."""
    buffer = io.BytesIO()
    chosen = {"lossless": True, "exact": True, "quality": 99, **options}
    Image.fromarray(pixels).save(buffer, "WEBP", **chosen)
    return buffer.getvalue()


def cells() -> Iterator[Cell]:
    """Make the cells of WebP."""
    # Lossy WebP always has one chroma sample for four pixels.
    for coding, options, rgb, tolerance in (
        ("lossless", {}, pic.picture(), LOSSLESS_TOLERANCE),
        ("lossy", {"lossless": False}, pic.soft(), LOSSY_TOLERANCE),
    ):
        found: list[tuple[str, bytes, pic.Pixels]] = [
            ("plain", webp(rgb, **options), rgb),
            ("icc-of-cmyk-ignored", webp(rgb, icc_profile=cmyk_profile(), **options), rgb),
        ]
        for name, opacity in (
            ("straight", pic.alpha_ramp()),
            ("mask", pic.alpha_mask()),
            ("opaque", np.full_like(pic.grey(), 255)),
            ("clear", np.zeros_like(pic.grey())),
        ):
            encoded = webp(np.dstack([rgb, opacity]), **options)
            found.append((f"alpha-{name}", encoded, pic.on_white(rgb, opacity / 255)))
        for name, space, gamma in (
            ("p3", pic.P3, 2.2),
            ("adobe-rgb", pic.ADOBE, 2.2),
            ("prophoto", pic.PROPHOTO, 1.8),
        ):
            coded = pic.as_bytes(pic.coded_in(space, gamma, rgb) * 255)
            found.append((f"icc-{name}", webp(coded, icc_profile=rgb_profile(space, gamma), **options), rgb))
            profile = rgb_profile(space, gamma)
            clear = webp(np.dstack([coded, pic.alpha_mask()]), icc_profile=profile, **options)
            found.append((f"icc-{name}-alpha", clear, pic.on_white(rgb, pic.alpha_mask() / 255)))
        for orientation in range(1, 9):
            for headers in (0, 1, 2):
                tag = exif(orientation, headers=headers)
                encoded = webp(stored_for(rgb, orientation), exif=tag, **options)
                found.append((f"orientation{orientation}/{headers}-headers", encoded, rgb))
        for name, encoded, reference in (*found, *_animated(rgb, options)):
            yield Cell(
                name=f"webp/{coding}/{name}", encoded=encoded, reference=reference, tolerance=tolerance
            )


def _animated(rgb: pic.Pixels, options: dict[str, Any]) -> Iterator[tuple[str, bytes, pic.Pixels]]:
    opaque = np.dstack([rgb, np.full_like(pic.grey(), 255)])
    negative, clear = 255 - rgb, np.zeros_like(opaque)
    yield "animated/plain", _frames([rgb, negative], options), rgb
    yield "animated/first-frame-clear", _frames([clear, opaque], options), rgb


def _frames(frames: list[pic.Pixels], options: dict[str, Any]) -> bytes:
    others = [Image.fromarray(frame) for frame in frames[1:]]
    return webp(frames[0], save_all=True, append_images=others, duration=80, **options)
