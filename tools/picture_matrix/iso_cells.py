"""AVIF and HEIC: depth, chroma, opacity, CICP and ICC colour, rotation boxes and sequences."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

from tools.picture_matrix import picture as pic
from tools.picture_matrix.cells import HDR_TOLERANCE, LOSSY_TOLERANCE, Cell
from tools.picture_matrix.profiles import cmyk_profile, rgb_profile
from tools.picture_matrix.turning import exif, stored_for

SRGB_CODES, P3_CODES, PQ_CODES, HLG_CODES = (1, 13), (12, 13), (9, 16), (9, 18)
"""Colour primaries and transfer characteristics (ITU-T H.273)."""

Case = tuple[str, bytes, pic.Pixels, float]


def cells() -> Iterator[Cell]:
    """Make the cells of AVIF and HEIC."""
    for container, cases in (("avif", (*_avif(), *_deep_avif())), ("heic", (*_heic(), *_heic_groups()))):
        for name, encoded, reference, tolerance in cases:
            yield Cell(name=f"{container}/{name}", encoded=encoded, reference=reference, tolerance=tolerance)


def avif(pixels: pic.Pixels, **options: Any) -> bytes:
    """Encode eight-bit pixels with little loss."""
    buffer = io.BytesIO()
    chosen = {"quality": 97, "subsampling": "4:4:4", "speed": 9, **options}
    Image.fromarray(pixels).save(buffer, "AVIF", **chosen)
    return buffer.getvalue()


def deep_avif(values: NDArray[np.uint16], bits: int, *, level: int = 97) -> bytes:
    """Encode grey or colours of ten or twelve bits with little loss; level 100: with none."""
    chroma = "444" if values.ndim == 3 else "400"
    encoded = imagecodecs.avif_encode(
        values, level=level, speed=9, bitspersample=bits, pixelformat=chroma, numthreads=1
    )
    return bytes(encoded)


def heic(pixels: Any, *, mode: str = "RGB", **options: Any) -> bytes:
    """Encode pixels with little loss; modes as pillow_heif names them."""
    buffer = io.BytesIO()
    height, width = pixels.shape[:2]
    chosen = {"quality": 97, "chroma": 444, "enc_params": {"preset": "ultrafast"}, **options}
    pillow_heif.encode(mode, (width, height), pixels.tobytes(), buffer, **chosen)
    return buffer.getvalue()


def with_cicp(encoded: bytes, codes: tuple[int, int]) -> bytes:
    """Return the same file with other primaries and transfer in its colour box."""
    at = encoded.index(b"colrnclx") + 8
    return encoded[:at] + struct.pack(">HH", *codes) + encoded[at + 4 :]


def _opacities() -> Iterator[tuple[str, pic.Pixels]]:
    yield "straight", pic.alpha_ramp()
    yield "mask", pic.alpha_mask()
    yield "opaque", np.full_like(pic.grey(), 255)
    yield "clear", np.zeros_like(pic.grey())


def _signals() -> Iterator[tuple[str, tuple[int, int], pic.Floats, float]]:
    """Return the picture, 0 … 1, coded for each pair of CICP codes."""
    yield "srgb", SRGB_CODES, pic.picture() / 255, LOSSY_TOLERANCE
    yield "p3", P3_CODES, pic.coded_in(pic.P3), LOSSY_TOLERANCE
    yield "rec2020", (9, 13), pic.coded_in(pic.REC2020), LOSSY_TOLERANCE
    yield "pq", PQ_CODES, pic.pq_coded(pic.light_in(pic.REC2020)), HDR_TOLERANCE
    yield "hlg", HLG_CODES, pic.hlg_coded(pic.light_in(pic.REC2020)), HDR_TOLERANCE


def _profiles() -> Iterator[tuple[str, bytes, pic.Pixels]]:
    for name, space, gamma in (
        ("p3", pic.P3, 2.2),
        ("adobe-rgb", pic.ADOBE, 2.2),
        ("prophoto", pic.PROPHOTO, 1.8),
    ):
        yield name, rgb_profile(space, gamma), pic.as_bytes(pic.coded_in(space, gamma) * 255)
    yield "of-cmyk-ignored", cmyk_profile(), pic.picture()


def _avif() -> Iterator[Case]:
    rgb = pic.picture()
    for subsampling in ("4:2:2", "4:2:0"):
        encoded = avif(pic.soft(), subsampling=subsampling)
        yield f"rgb/uint8/{subsampling}", encoded, pic.soft(), LOSSY_TOLERANCE
    yield "rgb/uint8/limited-range", avif(rgb, range="limited"), rgb, LOSSY_TOLERANCE
    grey = avif(pic.grey(), subsampling="4:0:0")
    yield "grey/uint8", grey, pic.as_rgb(pic.grey()), LOSSY_TOLERANCE
    for name, opacity in _opacities():
        encoded = avif(np.dstack([rgb, opacity]))
        yield f"rgba-{name}/uint8", encoded, pic.on_white(rgb, opacity / 255), LOSSY_TOLERANCE
    half = pic.on_white(rgb, pic.alpha_ramp() / 255)
    premultiplied = avif(np.dstack([rgb, pic.alpha_ramp()]), alpha_premultiplied=True)
    yield "rgba-premultiplied/uint8", premultiplied, half, LOSSY_TOLERANCE
    for name, codes, signal, tolerance in _signals():
        encoded = with_cicp(avif(pic.as_bytes(signal * 255)), codes)
        yield f"cicp-{name}/uint8", encoded, rgb, tolerance
    for name, profile, pixels in _profiles():
        yield f"icc-{name}/uint8", avif(pixels, icc_profile=profile), rgb, LOSSY_TOLERANCE
    for orientation in range(1, 9):
        tag = Image.Exif()
        tag[274] = orientation
        # Pillow moves the orientation from EXIF into the boxes irot and imir.
        encoded = avif(stored_for(rgb, orientation), exif=tag)
        yield f"orientation{orientation}/irot-imir", encoded, rgb, LOSSY_TOLERANCE
    opaque = np.dstack([rgb, np.full_like(pic.grey(), 255)])
    negative = Image.fromarray(255 - rgb)
    plain = avif(rgb, save_all=True, append_images=[negative], duration=80)
    yield "animated/plain", plain, rgb, LOSSY_TOLERANCE
    later = [Image.fromarray(opaque)]
    clear = avif(np.zeros_like(opaque), save_all=True, append_images=later, duration=80)
    yield "animated/first-frame-clear", clear, rgb, LOSSY_TOLERANCE


def _deep_avif() -> Iterator[Case]:
    rgb = pic.picture()
    for bits in (10, 12):
        top = (1 << bits) - 1
        for name, codes, signal, tolerance in _signals():
            values = np.rint(signal * top).astype(np.uint16)
            encoded = with_cicp(deep_avif(values, bits), codes)
            yield f"cicp-{name}/uint{bits}", encoded, rgb, tolerance
        values = np.rint(pic.grey() / 255 * top).astype(np.uint16)
        yield f"grey/uint{bits}", deep_avif(values, bits), pic.as_rgb(pic.grey()), LOSSY_TOLERANCE


def _heic() -> Iterator[Case]:
    rgb = pic.picture()
    for chroma in (422, 420):
        yield f"rgb/uint8/{chroma}", heic(pic.soft(), chroma=chroma), pic.soft(), LOSSY_TOLERANCE
    yield "grey/uint8", heic(pic.grey(), mode="L"), pic.as_rgb(pic.grey()), LOSSY_TOLERANCE
    for name, opacity in _opacities():
        encoded = heic(np.dstack([rgb, opacity]), mode="RGBA")
        yield f"rgba-{name}/uint8", encoded, pic.on_white(rgb, opacity / 255), LOSSY_TOLERANCE
    for name, codes, signal, tolerance in _signals():
        shallow, deep = pic.as_bytes(signal * 255), np.rint(signal * 65535).astype("<u2")
        yield f"cicp-{name}/uint8", with_cicp(heic(shallow), codes), rgb, tolerance
        yield f"cicp-{name}/uint10", with_cicp(heic(deep, mode="RGB;16"), codes), rgb, tolerance
    deep_grey = (pic.grey().astype("<u2")) * 257
    yield "grey/uint10", heic(deep_grey, mode="L;16"), pic.as_rgb(pic.grey()), LOSSY_TOLERANCE
    for orientation in range(1, 9):
        # As phones do: the boxes turn the picture, and EXIF repeats what they say.
        encoded = heic(stored_for(rgb, orientation), exif=exif(orientation, headers=1))
        yield f"orientation{orientation}/irot-imir", encoded, rgb, LOSSY_TOLERANCE


def _heic_groups() -> Iterator[Case]:
    """Files with a profile, several pictures, or EXIF, which only the saving of a whole file writes."""
    rgb = pic.picture()
    for name, profile, pixels in _profiles():
        picture = Image.fromarray(pixels)
        yield f"icc-{name}/uint8", _saved(picture, icc_profile=profile), rgb, LOSSY_TOLERANCE
    first = heif_group([rgb, 255 - rgb], primary=0)
    yield "burst/primary-first", first, rgb, LOSSY_TOLERANCE
    second = heif_group([255 - rgb, rgb], primary=1)
    yield "burst/primary-second", second, rgb, LOSSY_TOLERANCE


def heif_group(pictures: Sequence[pic.Pixels], *, primary: int) -> bytes:
    """Return one HEIC of several pictures, the one to show not always the first."""
    first, *others = (Image.fromarray(pixels) for pixels in pictures)
    return _saved(first, save_all=True, append_images=others, primary_index=primary)


def _saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    file = pillow_heif.from_pillow(image)
    if "icc_profile" in options:
        info: dict[str, Any] = file[0].info
        info |= {"icc_profile": options.pop("icc_profile"), "icc_profile_type": "prof"}
    for other in options.pop("append_images", ()):
        file.add_from_pillow(other)
    file.save(buffer, quality=97, chroma=444, enc_params={"preset": "ultrafast"}, **options)
    return buffer.getvalue()
