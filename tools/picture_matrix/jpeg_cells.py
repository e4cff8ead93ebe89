"""JPEG: colour models × coding, profiles, and orientation wherever EXIF may stand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from tools.picture_matrix import picture as pic
from tools.picture_matrix.cells import LOSSY_TOLERANCE, Cell
from tools.picture_matrix.jpeg_file import (
    XMP,
    exif_segment,
    icc_segments,
    joined,
    jpeg,
    segment,
    segments_of,
    with_segments,
)
from tools.picture_matrix.profiles import cmyk_profile, grey_profile, rgb_profile
from tools.picture_matrix.turning import exif, stored_for


def cells() -> Iterator[Cell]:
    """Make the cells of JPEG."""
    for name, encoded, reference in (*_models(), *_profiled(), *_oriented(), *_several()):
        yield Cell(name=f"jpeg/{name}", encoded=encoded, reference=reference, tolerance=LOSSY_TOLERANCE)
    for name, encoded, reference in _rare():
        yield Cell(
            name=f"jpeg/{name}",
            encoded=encoded,
            reference=reference,
            tolerance=LOSSY_TOLERANCE,
            must_be_right=False,
        )


def ycck(pixels: pic.Pixels) -> bytes:
    """Return a JPEG of inks in YCCK, inverted as Adobe's programs store them."""
    # Pillow inverts what it stores, so the channels are inverted here to be stored as they are.
    stored = np.dstack([pic.ycc(255 - pixels), np.full(pixels.shape[:2], 255.0)])
    segments, rest = segments_of(jpeg(pic.as_bytes(255 - stored), "CMYK"))
    adobe = [part[:-1] + b"\x02" if part[1] == 0xEE else part for part in segments]
    return joined(adobe, rest)


def _models() -> Iterator[tuple[str, bytes, pic.Pixels]]:
    rgb, grey = pic.picture(), pic.as_rgb(pic.grey())
    codings: list[tuple[str, dict[str, Any]]] = [
        ("baseline", {}),
        ("optimised", {"optimize": True}),
        ("progressive", {"progressive": True}),
        ("restarts", {"restart_marker_blocks": 2}),
    ]
    for name, options in codings:
        for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
            shown = rgb if subsampling == "4:4:4" else pic.soft()
            encoded = jpeg(shown, **{**options, "subsampling": subsampling})
            yield f"ycbcr-{subsampling}/{name}", encoded, shown
        yield f"grey/{name}", jpeg(pic.grey(), **options), grey
        yield f"rgb-adobe/{name}", jpeg(rgb, keep_rgb=True, **options), rgb
        for kind, ink in (("cmyk", pic.inks()), ("cmyk-with-black", pic.inks(black=True))):
            encoded = jpeg(ink, "CMYK", **options)
            yield f"{kind}-adobe/{name}", encoded, rgb
            segments, rest = segments_of(encoded)
            plain = joined([part for part in segments if part[1] != 0xEE], rest)
            yield f"{kind}-no-adobe/{name}", plain, rgb
    yield "ycck-adobe/baseline", ycck(rgb), rgb


def _rare() -> Iterator[tuple[str, bytes, pic.Pixels]]:
    """Twelve bits, and the lossless process, which medical and camera programs write."""
    rgb, grey = pic.picture(), pic.as_rgb(pic.grey())
    deep, deep_grey = (pic.quantised(each, 12).astype(np.uint16) for each in (rgb, pic.grey()))
    yield "twelve-bits/ycbcr", bytes(imagecodecs.jpeg_encode(deep, level=98, bitspersample=12)), rgb
    yield "twelve-bits/grey", bytes(imagecodecs.jpeg_encode(deep_grey, level=98, bitspersample=12)), grey
    yield "lossless/grey", bytes(imagecodecs.ljpeg_encode(pic.grey())), grey


def _profiled() -> Iterator[tuple[str, bytes, pic.Pixels]]:
    rgb, plain = pic.picture(), jpeg(pic.picture())
    for name, space, gamma in (
        ("p3", pic.P3, 2.2),
        ("adobe-rgb", pic.ADOBE, 2.2),
        ("prophoto", pic.PROPHOTO, 1.8),
    ):
        encoded = jpeg(pic.as_bytes(pic.coded_in(space, gamma) * 255))
        profile = rgb_profile(space, gamma)
        for parts in (1, 3):
            segments = icc_segments(profile, parts)
            yield f"icc-{name}/{parts}-segments", with_segments(encoded, *segments), rgb
        yield f"icc-{name}/out-of-order", with_segments(encoded, *reversed(icc_segments(profile, 3))), rgb
    yield "icc-of-grey-ignored/ycbcr", with_segments(plain, *icc_segments(grey_profile(1.4))), rgb
    yield "icc-of-cmyk-ignored/ycbcr", with_segments(plain, *icc_segments(cmyk_profile())), rgb
    yield "icc-cut-ignored/ycbcr", with_segments(plain, *icc_segments(rgb_profile(pic.P3, 2.2)[:300])), rgb
    ink = jpeg(pic.inks(black=True), "CMYK")
    yield "icc-cmyk/cmyk", with_segments(ink, *icc_segments(cmyk_profile())), rgb
    yield "icc-cmyk/ycck", with_segments(ycck(rgb), *icc_segments(cmyk_profile())), rgb
    yield "icc-of-rgb-ignored/cmyk", with_segments(ink, *icc_segments(rgb_profile(pic.ADOBE, 2.2))), rgb
    grey = pic.as_rgb(pic.grey())
    coded = jpeg(pic.as_bytes(pic.linear(pic.grey() / 255) ** (1 / 1.4) * 255))
    yield "icc-grey/grey", with_segments(coded, *icc_segments(grey_profile(1.4))), grey
    foreign = icc_segments(rgb_profile(pic.P3, 2.2))
    yield "icc-of-rgb-ignored/grey", with_segments(jpeg(pic.grey()), *foreign), grey


def _oriented() -> Iterator[tuple[str, bytes, pic.Pixels]]:
    xmp, icc = segment(0xE1, XMP), icc_segments(rgb_profile(pic.SRGB, 2.2))
    for orientation in range(1, 9):
        stored = jpeg(stored_for(pic.picture(), orientation))
        little = exif_segment(exif(orientation, headers=1))
        big = exif_segment(exif(orientation, order=">", headers=1))
        doubled = exif_segment(exif(orientation, headers=2))
        # A directory that promises more tags than there are bytes; the orientation is among those there.
        cut = exif_segment(exif(orientation, headers=1)[:14] + b"\x05" + exif(orientation, headers=1)[15:-4])
        upright = exif_segment(exif(1, headers=1))
        for place, parts in (
            ("little-endian", [little]),
            ("big-endian", [big]),
            ("header-doubled", [doubled]),
            ("after-xmp-and-icc", [xmp, *icc, little]),
            ("before-an-upright-copy", [little, upright]),
            ("cut-after-orientation", [cut]),
        ):
            yield f"orientation{orientation}/{place}", with_segments(stored, *parts), pic.picture()
        progressive = jpeg(stored_for(pic.picture(), orientation), progressive=True)
        yield f"orientation{orientation}/progressive", with_segments(progressive, little), pic.picture()


def _several() -> Iterator[tuple[str, bytes, pic.Pixels]]:
    """Several pictures in a file, and bytes around the picture."""
    rgb = pic.picture()
    plain, progressive = jpeg(rgb), jpeg(rgb, progressive=True)
    main = Image.fromarray(rgb)
    for name, other in (
        ("stereo", Image.fromarray(np.ascontiguousarray(rgb[:, ::-1]))),
        ("gain-map", Image.fromarray(255 - pic.grey()).resize((9, 9))),
    ):
        buffer = io.BytesIO()
        main.save(
            buffer, "MPO", quality=98, subsampling=0, save_all=True, append_images=[other.convert("RGB")]
        )
        yield f"mpo/{name}", buffer.getvalue(), rgb
    video = b"MotionPhoto_Data" + b"\xff\xda\0\0" * 2000
    for name, encoded in (("baseline", plain), ("progressive", progressive)):
        yield f"no-end-mark/{name}", encoded[:-2], rgb
        yield f"video-appended/{name}", encoded + video, rgb
        yield f"fill-bytes/{name}", encoded[:2] + b"\xff" * 5 + encoded[2:], rgb
        yield f"comment/{name}", with_segments(encoded, segment(0xFE, b"\xff\xda" * 500)), rgb
