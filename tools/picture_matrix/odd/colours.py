"""Colour: profiles of a foreign space, inks, depths, floats, wide gamut, and transparency."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.picture_matrix import picture as pic
from tools.picture_matrix import png_file as pf
from tools.picture_matrix import tiff_file as tf
from tools.picture_matrix.bmp_gif_cells import gif
from tools.picture_matrix.iso_cells import P3_CODES, PQ_CODES, avif, deep_avif, heic, with_cicp
from tools.picture_matrix.jpeg_cells import ycck
from tools.picture_matrix.jpeg_file import icc_segments, joined, jpeg, segments_of, with_segments
from tools.picture_matrix.odd.catalogue import OddPicture
from tools.picture_matrix.png_cells import iccp
from tools.picture_matrix.profiles import cmyk_profile, grey_profile, rgb_profile
from tools.picture_matrix.tiff_cells import EXTRA_SAMPLES, ICC, indexed
from tools.picture_matrix.tiff_file import Layout, Tag, tiff
from tools.picture_matrix.webp_cells import webp

MAYBE = "stored|dead:unsupported"


@cache
def base() -> pic.Pixels:
    """Return the picture of most files: 320 × 240."""
    return pic.picture(240, 320)


@cache
def base_grey() -> pic.Pixels:
    """Return its luma."""
    return pic.frozen(pic.as_bytes(base() @ np.array([0.299, 0.587, 0.114])))


def pictures() -> Iterator[OddPicture]:
    """Make the odd pictures of colour."""
    yield from _profiles()
    yield from _inks()
    yield from _deep()
    yield from _floats()
    yield from _wide()
    yield from _transparent()


def stored(file: str, encoded: bytes, reference: pic.Pixels | None = None) -> OddPicture:
    """Return a file that must be stored and look like its reference."""
    return OddPicture(file=file, encoded=encoded, expect="stored", reference=reference)


def _profiles() -> Iterator[OddPicture]:
    for name, space, gamma in (
        ("p3", pic.P3, 2.2),
        ("adobe_rgb", pic.ADOBE, 2.2),
        ("prophoto", pic.PROPHOTO, 1.8),
    ):
        coded = pic.as_bytes(pic.coded_in(space, gamma, base()) * 255)
        profile = rgb_profile(space, gamma)
        tag: Tag = (ICC, tf.UNDEFINED, list(profile))
        yield stored(f"icc_{name}.jpg", with_segments(jpeg(coded), *icc_segments(profile)), base())
        yield stored(f"icc_{name}.png", pf.png(coded, bits=8, kind=pf.RGB, before=[iccp(profile)]), base())
        yield stored(f"icc_{name}.tif", tiff(coded, bits=8, photometric=tf.RGB, extra=[tag]), base())
        yield stored(f"icc_{name}.webp", webp(coded, icc_profile=profile), base())
        if name == "p3":
            # In larger spaces, what the encoder loses shows more than these measures allow.
            yield stored(f"icc_{name}.avif", avif(coded, icc_profile=profile), base())
    plain = jpeg(base())
    yield stored("icc_grey_in_rgb.jpg", with_segments(plain, *icc_segments(grey_profile(1.4))), base())
    yield stored("icc_cmyk_in_rgb.jpg", with_segments(plain, *icc_segments(cmyk_profile())), base())
    foreign = icc_segments(rgb_profile(pic.P3, 2.2))
    yield stored("icc_rgb_in_grey.jpg", with_segments(jpeg(base_grey()), *foreign), pic.as_rgb(base_grey()))
    opaque = np.dstack([base(), np.full_like(base_grey(), 255)])
    chunks = [iccp(cmyk_profile())]
    yield stored("icc_cmyk_in_rgba.png", pf.png(opaque, bits=8, kind=pf.RGBA, before=chunks), base())


def _inks() -> Iterator[OddPicture]:
    for name, ink in (("cmyk", pic.inks(pixels=base())), ("cmyk_black", pic.inks(black=True, pixels=base()))):
        encoded = jpeg(ink, "CMYK")
        segments, rest = segments_of(encoded)
        plain = joined([part for part in segments if part[1] != 0xEE], rest)
        yield stored(f"{name}_adobe.jpg", encoded, base())
        yield stored(f"{name}_no_adobe.jpg", plain, base())
        foreign = icc_segments(rgb_profile(pic.ADOBE, 2.2))
        yield stored(f"{name}_rgb_profile.jpg", with_segments(encoded, *foreign), base())
        profiled = with_segments(encoded, *icc_segments(cmyk_profile()))
        yield stored(f"{name}_profile.jpg", profiled, base())
        yield stored(f"{name}.tif", tiff(ink, bits=8, photometric=tf.SEPARATED), base())
        tag: Tag = (ICC, tf.UNDEFINED, list(cmyk_profile()))
        data = tiff(ink, bits=8, photometric=tf.SEPARATED, extra=[tag])
        yield stored(f"{name}_profile.tif", data, base())
    yield stored("ycck.jpg", ycck(base()), base())
    yield stored("rgb_adobe_marker.jpg", jpeg(base(), keep_rgb=True), base())


def _deep() -> Iterator[OddPicture]:
    grey, shown = base_grey(), pic.as_rgb(base_grey())
    deep = grey.astype(np.uint16) * 257
    little, big = Layout(), Layout(order=">")
    yield stored("grey16.png", pf.png(deep, bits=16, kind=pf.GREY), shown)
    for end, layout in (("le", little), ("be", big)):
        for name, samples, photometric in (
            ("", deep, tf.BLACK_IS_ZERO),
            ("_white_is_zero", 65535 - deep, tf.WHITE_IS_ZERO),
        ):
            data = tiff(samples, bits=16, photometric=photometric, layout=layout)
            yield stored(f"grey16{name}_{end}.tif", data, shown)
        planar = Layout(order=layout.order, planar=True, rows=50)
        wide = base().astype(np.uint16) * 257
        yield stored(f"rgb16_{end}.tif", tiff(wide, bits=16, photometric=tf.RGB, layout=layout), base())
        data = tiff(wide, bits=16, photometric=tf.RGB, layout=planar)
        yield OddPicture(file=f"rgb16_planar_{end}.tif", encoded=data, expect=MAYBE, reference=base())
    yield stored("grey8_white_is_zero.tif", tiff(255 - grey, bits=8, photometric=tf.WHITE_IS_ZERO), shown)
    yield stored(
        "rgb8_planar.tif", tiff(base(), bits=8, photometric=tf.RGB, layout=Layout(planar=True)), base()
    )
    depths: list[tuple[str, NDArray[Any], int, int]] = [
        ("uint32", grey.astype(np.uint32) * 16843009, 32, tf.UNSIGNED),
        ("int16", (deep // 2).astype(np.int16), 16, tf.SIGNED),
        ("uint12", (deep >> 4).astype(np.uint16), 12, tf.UNSIGNED),
    ]
    for name, samples, bits, kind in depths:
        data = tiff(samples, bits=bits, photometric=tf.BLACK_IS_ZERO, sample_format=kind)
        yield OddPicture(file=f"grey_{name}.tif", encoded=data, expect=MAYBE, reference=shown)
    data = tiff(base(), bits=8, photometric=tf.RGB, layout=Layout(big=True))
    yield stored("bigtiff.tif", data, base())
    yield stored("rgb16.png", pf.png(base().astype(np.uint16) * 257, bits=16, kind=pf.RGB), base())
    with_alpha = np.dstack([deep, np.full_like(deep, 65535)])
    yield stored("grey_alpha16.png", pf.png(with_alpha, bits=16, kind=pf.GREY_ALPHA), shown)


def _floats() -> Iterator[OddPicture]:
    grey, shown = base_grey() / 255, pic.as_rgb(base_grey())
    for name, odd in (("highlights", 4.0), ("far_highlights", 300.0), ("below_zero", -1.0), ("nan", np.nan)):
        values = grey.astype(np.float32)
        values[60:63, 200:203] = odd
        # The few odd pixels show at most as white or black.
        data = tiff(values, bits=32, photometric=tf.BLACK_IS_ZERO, sample_format=tf.FLOAT)
        like = shown.copy()
        like[60:63, 200:203] = 255 if odd > 0 else 0
        yield stored(f"float_{name}.tif", data, like)
    for name, scale in (("to_1", 1), ("to_255", 255)):
        for end, layout in (("le", Layout()), ("be", Layout(order=">", rows=20))):
            data = tiff(
                (grey * scale).astype(np.float32),
                bits=32,
                photometric=tf.BLACK_IS_ZERO,
                layout=layout,
                sample_format=tf.FLOAT,
            )
            yield stored(f"float_{name}_{end}.tif", data, shown)
    data = tiff((base() / 255).astype(np.float32), bits=32, photometric=tf.RGB, sample_format=tf.FLOAT)
    yield OddPicture(file="float_rgb.tif", encoded=data, expect=MAYBE, reference=base())
    data = tiff(grey, bits=64, photometric=tf.BLACK_IS_ZERO, sample_format=tf.FLOAT)
    yield OddPicture(file="double_grey.tif", encoded=data, expect=MAYBE, reference=shown)


def _wide() -> Iterator[OddPicture]:
    linear = np.rint(pic.linear(base() / 255) * 65535).astype(np.uint16)
    yield stored(
        "gama_linear.png",
        pf.png(linear, bits=16, kind=pf.RGB, before=[(b"gAMA", (100_000).to_bytes(4, "big"))]),
        base(),
    )
    p3 = pic.as_bytes(pic.coded_in(pic.P3, pixels=base()) * 255)
    yield stored("cicp_p3.png", pf.png(p3, bits=8, kind=pf.RGB, before=[(b"cICP", b"\x0c\x0d\0\1")]), base())
    yield stored("cicp_p3.avif", with_cicp(avif(p3), P3_CODES), base())
    yield stored("cicp_p3.heic", with_cicp(heic(p3), P3_CODES), base())
    pq = pic.pq_coded(pic.light_in(pic.REC2020, base()))
    deep = np.rint(pq * 65535).astype(np.uint16)
    yield stored(
        "cicp_pq.png", pf.png(deep, bits=16, kind=pf.RGB, before=[(b"cICP", b"\x09\x10\0\1")]), base()
    )
    encoded = with_cicp(heic(deep, mode="RGB;16"), PQ_CODES)
    yield stored("cicp_pq_10_bits.heic", encoded, base())
    # PQ spreads the shadows so far that the loss of an encoder would show in the measures.
    encoded = deep_avif(np.rint(pq * 1023).astype(np.uint16), 10, level=100)
    yield stored("cicp_pq_10_bits.avif", with_cicp(encoded, PQ_CODES), base())


def _transparent() -> Iterator[OddPicture]:
    """Pictures whose clear pixels hide other colours, mostly black; they show white paper."""
    hole = np.ones(base_grey().shape, bool)
    hole[50:190, 80:240] = False
    shown = np.where(hole[..., None], 255, base()).astype(np.uint8)
    alpha = np.where(hole, 0, 255).astype(np.uint8)
    rgba = np.dstack([np.where(hole[..., None], 0, base()).astype(np.uint8), alpha])
    yield stored("clear.png", pf.png(rgba, bits=8, kind=pf.RGBA), shown)
    deep = rgba.astype(np.uint16) * 257
    yield stored("clear_16_bits.png", pf.png(deep, bits=16, kind=pf.RGBA), shown)
    yield stored("clear.webp", webp(rgba), shown)
    yield stored("clear.avif", avif(rgba), shown)
    yield stored("clear.heic", heic(rgba, mode="RGBA"), shown)
    for name, mark in (("straight", tf.STRAIGHT), ("premultiplied", tf.PREMULTIPLIED)):
        extra: Tag = (EXTRA_SAMPLES, tf.SHORT, [mark])
        yield stored(f"clear_{name}.tif", tiff(rgba, bits=8, photometric=tf.RGB, extra=[extra]), shown)
    ignored = np.dstack([base(), np.zeros_like(base_grey())])
    for name, marks in (("unspecified", [(EXTRA_SAMPLES, tf.SHORT, [tf.UNSPECIFIED])]), ("undeclared", [])):
        yield stored(f"extra_{name}.tif", tiff(ignored, bits=8, photometric=tf.RGB, extra=marks), base())
    five = np.dstack([ignored, np.zeros_like(base_grey())])
    marks = [(EXTRA_SAMPLES, tf.SHORT, [tf.UNSPECIFIED] * 2)]
    data = tiff(five, bits=8, photometric=tf.RGB, extra=marks)
    yield OddPicture(file="extra_two.tif", encoded=data, expect=MAYBE, reference=base())
    index, palette = indexed(255, base())
    palette = np.concatenate([palette, np.zeros((1, 3), np.uint8)])
    holed = np.where(hole, 255, index).astype(np.uint8)
    paper = np.where(hole[..., None], 255, palette[index]).astype(np.uint8)
    chunks = [(b"PLTE", palette.tobytes()), (b"tRNS", b"\xff" * 255 + b"\0")]
    yield stored("clear_palette.png", pf.png(holed, bits=8, kind=pf.PALETTE, before=chunks), paper)
    yield stored("clear.gif", gif([holed], palette, clear=255), paper)
    grey = np.maximum(base_grey(), 1)
    paper = np.where(hole[..., None], 255, pic.as_rgb(grey)).astype(np.uint8)
    for bits in (8, 16):
        keyed = np.where(hole, 0, grey.astype(np.uint16) * (257 if bits == 16 else 1))
        samples = keyed.astype("u2" if bits == 16 else "u1")
        data = pf.png(samples, bits=bits, kind=pf.GREY, before=[(b"tRNS", b"\0\0")])
        yield stored(f"clear_key_{bits}_bits.png", data, paper)
