"""PNG: kinds of pixel × interlacing, transparency, colour, orientation and animation."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.picture_matrix import picture as pic
from tools.picture_matrix import png_file as pf
from tools.picture_matrix.cells import HDR_TOLERANCE, Cell
from tools.picture_matrix.png_file import Chunk, png
from tools.picture_matrix.profiles import cmyk_profile, grey_profile, rgb_profile
from tools.picture_matrix.tiff_cells import indexed
from tools.picture_matrix.turning import exif, stored_for


def cells() -> Iterator[Cell]:
    """Make the cells of PNG."""
    yield from _kinds()
    yield from _keys()
    yield from _coloured()
    yield from _oriented()
    yield from _animated()


def _whole(values: NDArray[Any], bits: int) -> NDArray[Any]:
    return pic.quantised(values, bits).astype("u2" if bits == 16 else "u1")


def _kinds() -> Iterator[Cell]:
    rgb, grey = pic.picture(), pic.grey()
    share = pic.alpha_ramp() / 255
    for bits in (1, 2, 4, 8, 16):
        values = _whole(grey, bits)
        reference = pic.as_rgb(pic.restored(values.astype(np.uint64), bits))
        yield from _interlacing("grey", values, bits, pf.GREY, reference)
    for bits in (1, 2, 4, 8):
        index, colours = indexed(1 << bits)
        table = (b"PLTE", colours.tobytes())
        yield from _interlacing("palette", index, bits, pf.PALETTE, colours[index], (table,))
        opacity = np.linspace(0, 255, 1 << bits).astype(np.uint8)
        shown = pic.on_white(colours[index], opacity[index] / 255)
        chunks = (table, (b"tRNS", opacity.tobytes()))
        yield from _interlacing("palette-alpha", index, bits, pf.PALETTE, shown, chunks)
        # Entries that the list of opacities leaves out are opaque.
        shown = np.where((index == 0)[..., None], 255, colours[index]).astype(np.uint8)
        chunks = (table, (b"tRNS", b"\0"))
        yield from _interlacing("palette-one-clear", index, bits, pf.PALETTE, shown, chunks)
    for bits in (8, 16):
        yield from _interlacing("rgb", _whole(rgb, bits), bits, pf.RGB, rgb)
        for name, opacity in (
            ("straight", pic.alpha_ramp()),
            ("mask", pic.alpha_mask()),
            ("opaque", np.full_like(grey, 255)),
            ("clear", np.zeros_like(grey)),
        ):
            share = opacity / 255
            samples = _whole(np.dstack([rgb, opacity]), bits)
            yield from _interlacing(f"rgba-{name}", samples, bits, pf.RGBA, pic.on_white(rgb, share))
            samples = _whole(np.dstack([grey, opacity]), bits)
            shown = pic.on_white(pic.as_rgb(grey), share)
            yield from _interlacing(f"grey-alpha-{name}", samples, bits, pf.GREY_ALPHA, shown)


def _interlacing(
    name: str,
    samples: NDArray[Any],
    bits: int,
    kind: int,
    reference: pic.Pixels,
    before: tuple[Chunk, ...] = (),
) -> Iterator[Cell]:
    for interlaced in (False, True):
        yield Cell(
            name=f"png/{name}/uint{bits}/{'adam7' if interlaced else 'rows'}",
            encoded=png(samples, bits=bits, kind=kind, before=before, interlaced=interlaced),
            reference=reference,
        )


def _keys() -> Iterator[Cell]:
    """Transparent colours: pixels of exactly this value show the paper, those of similar value do not."""
    hole = pic.alpha_mask() == 0
    for bits in (1, 2, 4, 8, 16):
        values = _whole(pic.grey(), bits)
        for name, level in (("black", 0), ("middle", ((1 << bits) - 1) // 2)):
            holed = np.where(values == level, level + 1, values).astype(values.dtype)
            reference = pic.as_rgb(pic.restored(holed.astype(np.uint64), bits))
            holed[hole] = level
            shown = np.where(hole[..., None], 255, reference).astype(np.uint8)
            chunks = ((b"tRNS", struct.pack(">H", level)),)
            yield from _interlacing(f"grey-key-{name}", holed, bits, pf.GREY, shown, chunks)
    for bits in (8, 16):
        values = _whole(pic.picture(), bits)
        for name, colour in (("black", (0, 0, 0)), ("green", (3, 250, 7))):
            key = [part * (257 if bits == 16 else 1) for part in colour]
            holed = values.copy()
            holed[hole] = key
            shown = np.where(hole[..., None], 255, pic.picture()).astype(np.uint8)
            chunks = ((b"tRNS", struct.pack(">3H", *key)),)
            yield from _interlacing(f"rgb-key-{name}", holed, bits, pf.RGB, shown, chunks)


def _gama(gamma: float) -> Chunk:
    return (b"gAMA", struct.pack(">I", round(100_000 / gamma)))


def _chrm(xy: tuple[float, ...], white: tuple[float, float] = pic.D65_XY) -> Chunk:
    return (b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in (*white, *xy))))


def iccp(profile: bytes) -> Chunk:
    """Return the chunk that holds a profile."""
    return (b"iCCP", b"made for tests\0\0" + zlib.compress(profile))


def _cicp(primaries: int, transfer: int) -> Chunk:
    return (b"cICP", bytes([primaries, transfer, 0, 1]))


def _coloured() -> Iterator[Cell]:
    srgb = pic.picture() / 255
    p3_icc, p3 = iccp(rgb_profile(pic.P3, 2.2)), pic.coded_in(pic.P3, 2.2)
    linear = pic.linear(srgb)
    pq, hlg = pic.pq_coded(pic.light_in(pic.REC2020)), pic.hlg_coded(pic.light_in(pic.REC2020))
    hdr = HDR_TOLERANCE
    cases: list[tuple[str, pic.Floats, tuple[Chunk, ...], float]] = [
        ("srgb", srgb, ((b"sRGB", b"\0"),), 3),
        ("gama-2.2", linear ** (1 / 2.2), (_gama(2.2),), 3),
        ("gama-1.8", linear ** (1 / 1.8), (_gama(1.8),), 3),
        ("gama-linear", linear, (_gama(1.0),), 3),
        ("gama-chrm-srgb", linear ** (1 / 2.2), (_gama(2.2), _chrm(pic.SRGB_XY)), 3),
        ("gama-chrm-p3", p3, (_gama(2.2), _chrm(pic.P3_XY)), 3),
        ("gama-chrm-adobe", pic.coded_in(pic.ADOBE, 2.2), (_gama(2.2), _chrm(pic.ADOBE_XY)), 3),
        ("chrm-before-gama", p3, (_chrm(pic.P3_XY), _gama(2.2)), 3),
        (
            "gama-chrm-prophoto",
            pic.coded_in(pic.PROPHOTO, 1.8),
            (_gama(1.8), _chrm(pic.PROPHOTO_XY, (0.3457, 0.3585))),
            3,
        ),
        ("iccp-p3", p3, (p3_icc,), 3),
        ("iccp-adobe", pic.coded_in(pic.ADOBE, 2.2), (iccp(rgb_profile(pic.ADOBE, 2.2)),), 3),
        ("iccp-prophoto", pic.coded_in(pic.PROPHOTO, 1.8), (iccp(rgb_profile(pic.PROPHOTO, 1.8)),), 3),
        ("iccp-wins-over-gama", p3, (_gama(1.0), _chrm(pic.SRGB_XY), p3_icc), 3),
        ("srgb-wins-over-gama", srgb, (_gama(1.0), _chrm(pic.P3_XY), (b"sRGB", b"\0")), 3),
        ("iccp-of-cmyk-ignored", srgb, (iccp(cmyk_profile()),), 3),
        ("iccp-of-grey-ignored", srgb, (iccp(grey_profile(1.4)),), 3),
        ("iccp-broken-ignored", srgb, ((b"iCCP", b"x\0\0" + zlib.compress(b"no profile" * 20)),), 3),
        ("cicp-srgb", srgb, (_cicp(1, 13),), 3),
        ("cicp-p3", pic.coded_in(pic.P3), (_cicp(12, 13),), 3),
        ("cicp-rec2020-srgb-curve", pic.coded_in(pic.REC2020), (_cicp(9, 13),), 3),
        ("cicp-linear", linear, (_cicp(1, 8),), 3),
        ("cicp-wins-over-iccp", srgb, (_cicp(1, 13), p3_icc), 3),
        ("cicp-pq", pq, (_cicp(9, 16),), hdr),
        ("cicp-hlg", hlg, (_cicp(9, 18),), hdr),
        ("cicp-p3-pq", pic.pq_coded(pic.light_in(pic.P3)), (_cicp(12, 16),), hdr),
    ]
    for name, values, chunks, tolerance in cases:
        # Linear light in eight bits has too few steps in the shadows.
        for bits in (16,) if name in ("gama-linear", "cicp-linear") else (8, 16):
            samples = np.rint(values * ((1 << bits) - 1)).astype("u2" if bits == 16 else "u1")
            opacity = np.full(samples.shape[:2], (1 << bits) - 1, samples.dtype)
            for kind, pixels, colour in (
                ("rgb", samples, pf.RGB),
                ("rgba", np.dstack([samples, opacity]), pf.RGBA),
            ):
                yield Cell(
                    name=f"png/{name}/{kind}/uint{bits}",
                    encoded=png(pixels, bits=bits, kind=colour, before=chunks),
                    reference=pic.picture(),
                    tolerance=tolerance,
                    must_be_right="p3-pq" not in name,
                )
    yield from _coloured_greys_and_palettes()


def _coloured_greys_and_palettes() -> Iterator[Cell]:
    grey = pic.linear(pic.grey() / 255)
    reference = pic.as_rgb(pic.grey())
    for bits in (8, 16):
        top = (1 << bits) - 1
        for name, gamma, chunks in (
            ("gama-2.2", 2.2, (_gama(2.2),)),
            ("gama-1.4", 1.4, (_gama(1.4),)),
            ("iccp-grey", 1.4, (iccp(grey_profile(1.4)),)),
            ("iccp-of-rgb-ignored", None, (iccp(rgb_profile(pic.P3, 2.2)),)),
        ):
            coded = pic.grey() / 255 if gamma is None else grey ** (1 / gamma)
            samples = np.rint(coded * top).astype("u2" if bits == 16 else "u1")
            opacity = np.full(samples.shape, top, samples.dtype)
            for kind, pixels, colour in (
                ("grey", samples, pf.GREY),
                ("grey-alpha", np.dstack([samples, opacity]), pf.GREY_ALPHA),
            ):
                data = png(pixels, bits=bits, kind=colour, before=chunks)
                yield Cell(name=f"png/{name}/{kind}/uint{bits}", encoded=data, reference=reference)
    index, colours = indexed(256)
    light = pic.linear(colours / 255) @ (np.linalg.inv(pic.P3) @ pic.SRGB).T
    table = (b"PLTE", pic.as_bytes(np.clip(light, 0, 1) ** (1 / 2.2) * 255).tobytes())
    for name, described in (
        ("gama-chrm-p3", [_gama(2.2), _chrm(pic.P3_XY)]),
        ("iccp-p3", [iccp(rgb_profile(pic.P3, 2.2))]),
    ):
        data = png(index, bits=8, kind=pf.PALETTE, before=[*described, table])
        yield Cell(name=f"png/{name}/palette/uint8", encoded=data, reference=colours[index])


def _oriented() -> Iterator[Cell]:
    for orientation in range(1, 9):
        stored = stored_for(pic.picture(), orientation)
        for order in ("<", ">"):
            for headers in (0, 1, 2):
                tag: Chunk = (b"eXIf", exif(orientation, order=order, headers=headers))
                for place in ("early", "late"):
                    around = {"before" if place == "early" else "after": (tag,)}
                    end = "II" if order == "<" else "MM"
                    yield Cell(
                        name=f"png/orientation{orientation}/exif-{place}/{headers}-headers/{end}",
                        encoded=png(stored, bits=8, kind=pf.RGB, **around),  # type: ignore[arg-type]
                        reference=pic.picture(),
                    )


def _animated() -> Iterator[Cell]:
    rgb = pic.picture()
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    clear, negative = np.zeros_like(opaque), opaque.copy()
    negative[..., :3] = 255 - rgb
    yield Cell(name="png/animated/plain", encoded=apng([opaque, negative]), reference=rgb)
    yield Cell(name="png/animated/first-frame-clear", encoded=apng([clear, opaque]), reference=rgb)
    # A default image that is not a frame is what a program without animation shows.
    yield Cell(name="png/animated/default-apart", encoded=apng([opaque, negative], apart=True), reference=rgb)


def apng(frames: list[NDArray[np.uint8]], *, apart: bool = False) -> bytes:
    """Return an animation of RGBA frames; apart: the first one is only the default image."""
    height, width = frames[0].shape[:2]
    chunks: list[Chunk] = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, pf.RGBA, 0, 0, 0))]
    chunks.append((b"acTL", struct.pack(">II", len(frames) - apart, 0)))
    sequence = 0
    for number, frame in enumerate(frames):
        data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in frame))
        if number or not apart:
            control = struct.pack(">IIIIIHHBB", sequence, width, height, 0, 0, 1, 10, 0, 0)
            chunks.append((b"fcTL", control))
            sequence += 1
        if number:
            chunks.append((b"fdAT", struct.pack(">I", sequence) + data))
            sequence += 1
        else:
            chunks.append((b"IDAT", data))
    return pf.SIGNATURE + b"".join(pf.chunk(*each) for each in [*chunks, (b"IEND", b"")])
