"""TIFF: sample kinds × layouts, then orientation, profiles and what only some programs write."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.picture_matrix import picture as pic
from tools.picture_matrix import tiff_file as tf
from tools.picture_matrix.cells import LOSSY_TOLERANCE, Cell
from tools.picture_matrix.jpeg_file import joined, jpeg, segments_of
from tools.picture_matrix.profiles import cmyk_profile, grey_profile, rgb_profile
from tools.picture_matrix.tiff_file import Layout, Order, Tag, tiff
from tools.picture_matrix.turning import stored_for

ICC, ORIENTATION, EXTRA_SAMPLES = 34675, 274, 338


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of samples, before they are laid out."""

    name: str
    samples: NDArray[Any]
    bits: int
    photometric: int
    reference: pic.Pixels
    sample_format: int = tf.UNSIGNED
    extra: tuple[Tag, ...] = ()
    must_be_right: bool = True

    def encoded(self, layout: Layout) -> bytes:
        """Encode the samples in one layout."""
        return tiff(
            self.samples,
            bits=self.bits,
            photometric=self.photometric,
            layout=layout,
            sample_format=self.sample_format,
            extra=self.extra,
        )


def cells() -> Iterator[Cell]:
    """Make the cells of TIFF."""
    for kind in kinds():
        for layout in layouts(kind):
            yield Cell(
                name=f"tiff/{kind.name}/{layout}",
                encoded=kind.encoded(layout),
                reference=kind.reference,
                # No program for photographers writes a big-endian BigTIFF.
                must_be_right=kind.must_be_right and not (layout.big and layout.order == ">"),
            )
    yield from _oriented()
    yield from _profiled()
    yield from _chroma()
    yield from _by_libtiff()
    yield from _rare()


def layouts(kind: Kind) -> Iterator[Layout]:
    """Return every layout that suits a kind; compression and predictors in three layouts only."""
    channels = 1 if kind.samples.ndim == 2 else kind.samples.shape[2]
    if kind.sample_format == tf.FLOAT and not kind.name.endswith("0-to-1"):
        # Where odd values lie does not depend on the layout.
        yield from (Layout(), Layout(order=">", tiled=True), Layout(order=">", planar=channels > 1))
        return
    for order in ("<", ">"):
        for blocks in ({}, {"rows": 10}, {"tiled": True}):
            for planar in (False, True) if channels > 1 else (False,):
                yield Layout(order=order, planar=planar, **blocks)
        yield Layout(order=order, big=True, rows=10)
    packed: tuple[tuple[Order, bool, bool], ...]
    packed = (("<", False, False), (">", False, True), (">", channels > 1, False))
    for order, planar, tiled in packed:
        for compression in (tf.LZW, tf.DEFLATE, tf.OLD_DEFLATE, tf.PACKBITS):
            rows = 0 if tiled else 10
            base = Layout(order=order, planar=planar, tiled=tiled, rows=rows, compression=compression)
            yield base
            if compression in (tf.LZW, tf.DEFLATE):
                yield from (replace(base, predictor=number) for number in _predictors(kind))


def _predictors(kind: Kind) -> tuple[int, ...]:
    if kind.photometric == tf.PALETTE:
        return ()
    if kind.sample_format == tf.FLOAT:
        return (3,)
    return (2,) if kind.bits in (8, 16, 32, 64) else ()


def kinds() -> Iterator[Kind]:
    """Return every kind of samples."""
    yield from _greys()
    yield from _signed_and_floats()
    yield from _colours()
    yield from _transparent()
    yield from _palettes()
    yield from _labs()


def _whole(values: pic.Pixels, bits: int) -> NDArray[Any]:
    """Return the values in `bits` bits, in the smallest type that holds them."""
    kind = next(kind for size, kind in ((8, "u1"), (16, "u2"), (32, "u4"), (64, "u8")) if bits <= size)
    return pic.quantised(values, bits).astype(kind)


def _greys() -> Iterator[Kind]:
    for bits in (1, 2, 4, 8, 10, 12, 14, 16, 32, 64):
        values = _whole(pic.grey(), bits)
        reference = pic.as_rgb(pic.restored(values.astype(np.uint64), bits))
        top = values.dtype.type((1 << bits) - 1)
        for name, photometric, samples in (
            ("min-is-black", tf.BLACK_IS_ZERO, values),
            ("min-is-white", tf.WHITE_IS_ZERO, top - values),
        ):
            yield Kind(
                name=f"grey-{name}/uint{bits}",
                samples=samples,
                bits=bits,
                photometric=photometric,
                reference=reference,
                must_be_right=bits in (1, 8, 16),
            )


def _signed_and_floats() -> Iterator[Kind]:
    grey, reference = pic.grey(), pic.as_rgb(pic.grey())
    for bits in (8, 16, 32):
        # White is the largest positive number; one value below zero is black.
        values = np.rint(grey / 255 * float((1 << (bits - 1)) - 1)).astype(f"i{bits // 8}")
        values[3, 5] = -3
        yield Kind(
            name=f"grey/int{bits}",
            samples=values,
            bits=bits,
            photometric=tf.BLACK_IS_ZERO,
            reference=reference,
            sample_format=tf.SIGNED,
            must_be_right=False,
        )
    for bits in (16, 32, 64):
        for name, values in _float_values(grey / 255):
            yield Kind(
                name=f"grey/float{bits}-{name}",
                samples=values.astype(f"f{bits // 8}"),
                bits=bits,
                photometric=tf.BLACK_IS_ZERO,
                reference=reference,
                sample_format=tf.FLOAT,
                must_be_right=bits == 32,
            )
        for name, values in _float_values(pic.picture() / 255):
            yield Kind(
                name=f"rgb/float{bits}-{name}",
                samples=values.astype(f"f{bits // 8}"),
                bits=bits,
                photometric=tf.RGB,
                reference=pic.picture(),
                sample_format=tf.FLOAT,
                must_be_right=False,
            )


def _float_values(values: pic.Floats) -> Iterator[tuple[str, pic.Floats]]:
    """Return the values 0 … 1 and with single ones outside; too few to matter in the mean."""
    yield "0-to-1", values
    yield "0-to-255", values * 255
    for name, odd in (("above-1", 4.0), ("far-above-1", 300.0), ("below-0", -2.0), ("nan", np.nan)):
        changed = values.copy()
        changed[20, 21] = changed[5, 30] = odd
        yield name, changed
    changed = values.copy()
    changed[20, 21], changed[5, 30] = np.inf, -np.inf
    yield "infinite", changed


def _colours() -> Iterator[Kind]:
    for bits in (2, 4, 8, 10, 12, 14, 16, 32, 64):
        values = _whole(pic.picture(), bits)
        yield Kind(
            name=f"rgb/uint{bits}",
            samples=values,
            bits=bits,
            photometric=tf.RGB,
            reference=pic.restored(values.astype(np.uint64), bits),
            must_be_right=bits in (8, 16),
        )
    for bits in (8, 16):
        for name, ink in (("cmyk-without-black", pic.inks()), ("cmyk-with-black", pic.inks(black=True))):
            yield Kind(
                name=f"{name}/uint{bits}",
                samples=_whole(ink, bits),
                bits=bits,
                photometric=tf.SEPARATED,
                reference=pic.picture(),
                must_be_right=bits == 8,
            )
    yield Kind(
        name="ycbcr/uint8",
        samples=pic.as_bytes(pic.ycc(pic.picture())),
        bits=8,
        photometric=tf.YCBCR,
        reference=pic.picture(),
        extra=((530, tf.SHORT, [1, 1]),),
        must_be_right=False,
    )


def _transparent() -> Iterator[Kind]:
    rgb, grey = pic.picture(), pic.grey()
    alpha, share = pic.alpha_ramp(), pic.alpha_ramp() / 255
    opaque, clear = np.full_like(alpha, 255), np.zeros_like(alpha)
    shaded = pic.as_bytes(rgb * share[..., None])
    shaded_grey = pic.as_bytes(grey * share)
    shown, shown_grey = pic.on_white(rgb, share), pic.on_white(pic.as_rgb(grey), share)
    nothing_said: tuple[Tag, ...] = ()
    for bits in (8, 16):
        for name, channels, marks, reference in (
            ("rgba-straight", [rgb, alpha], [tf.STRAIGHT], shown),
            ("rgba-premultiplied", [shaded, alpha], [tf.PREMULTIPLIED], shown),
            ("rgba-opaque", [rgb, opaque], [tf.STRAIGHT], rgb),
            ("rgb-unspecified-ramp", [rgb, alpha], [tf.UNSPECIFIED], rgb),
            ("rgb-unspecified-zero", [rgb, clear], [tf.UNSPECIFIED], rgb),
            ("rgb-undeclared-zero", [rgb, clear], None, rgb),
            ("rgb-two-unspecified", [rgb, clear, alpha], [tf.UNSPECIFIED] * 2, rgb),
            ("rgb-straight-and-unspecified", [rgb, alpha, clear], [tf.STRAIGHT, tf.UNSPECIFIED], shown),
            ("grey-straight", [grey, alpha], [tf.STRAIGHT], shown_grey),
            ("grey-premultiplied", [shaded_grey, alpha], [tf.PREMULTIPLIED], shown_grey),
            ("grey-unspecified-zero", [grey, clear], [tf.UNSPECIFIED], pic.as_rgb(grey)),
            ("cmyk-unspecified-zero", [pic.inks(), clear], [tf.UNSPECIFIED], rgb),
            ("cmyk-straight", [pic.inks(), alpha], [tf.STRAIGHT], shown),
        ):
            photometric = {"r": tf.RGB, "g": tf.BLACK_IS_ZERO, "c": tf.SEPARATED}[name[0]]
            common = ("rgba-straight", "rgba-premultiplied", "rgba-opaque", "rgb-unspecified-zero")
            yield Kind(
                name=f"{name}/uint{bits}",
                samples=_whole(np.dstack(channels), bits),
                bits=bits,
                photometric=photometric,
                reference=reference,
                extra=nothing_said if marks is None else ((EXTRA_SAMPLES, tf.SHORT, marks),),
                must_be_right=name in common and bits == 8,
            )


def _palettes() -> Iterator[Kind]:
    for bits in (1, 2, 4, 8):
        index, colours = indexed(1 << bits)
        # A TIFF has all red values first, in sixteen bits.
        table = (colours.astype(int) * 257).T.ravel().tolist()
        yield Kind(
            name=f"palette/uint{bits}",
            samples=index,
            bits=bits,
            photometric=tf.PALETTE,
            reference=colours[index],
            extra=((320, tf.SHORT, table),),
            must_be_right=bits in (4, 8),
        )


def indexed(count: int, pixels: pic.Pixels | None = None) -> tuple[pic.Pixels, pic.Pixels]:
    """Return the picture, or other pixels, as indices, (H, W), into `count` colours, (count, 3)."""
    whole = Image.fromarray(pic.picture() if pixels is None else pixels)
    reduced = whole.quantize(count, dither=Image.Dither.NONE)
    colours = np.zeros((count, 3), np.uint8)
    found = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)[:count]
    colours[: len(found)] = found
    return np.asarray(reduced), colours


def _labs() -> Iterator[Kind]:
    lab = pic.lab()
    for bits in (8, 16):
        unit = 1 << (bits - 8)
        top = float((1 << bits) - 1)
        kind: Any = f"u{bits // 8}"
        lightness = np.rint(lab[..., 0] / 100 * top).astype(kind)
        signed = np.clip(np.rint(lab[..., 1:] * unit), -128 * unit, 128 * unit - 1).astype(f"i{bits // 8}")
        offset = np.clip(np.rint((lab[..., 1:] + 128) * unit), 0, top).astype(kind)
        for name, photometric, ab in (
            ("cielab", tf.CIELAB, signed.view(kind)),
            ("icclab", tf.ICCLAB, offset),
        ):
            yield Kind(
                name=f"{name}/uint{bits}",
                samples=np.dstack([lightness, ab]),
                bits=bits,
                photometric=photometric,
                reference=pic.picture(),
                must_be_right=False,
            )


def _oriented() -> Iterator[Cell]:
    for orientation in range(1, 9):
        for layout in (Layout(), Layout(order=">", rows=10), Layout(tiled=True, compression=tf.LZW)):
            tag: Tag = (ORIENTATION, tf.SHORT, [orientation])
            stored = stored_for(pic.picture(), orientation)
            for bits in (8, 16):
                data = tiff(_whole(stored, bits), bits=bits, photometric=tf.RGB, layout=layout, extra=(tag,))
                name = f"tiff/orientation{orientation}/rgb/uint{bits}/{layout}"
                yield Cell(name=name, encoded=data, reference=pic.picture())


def _profiled() -> Iterator[Cell]:
    spaces = (("p3", pic.P3, 2.2), ("adobe-rgb", pic.ADOBE, 2.2), ("prophoto", pic.PROPHOTO, 1.8))
    for order in ("<", ">"):
        layout = Layout(order=order)
        for bits in (8, 16):
            for name, space, gamma in spaces:
                values = np.rint(pic.coded_in(space, gamma) * float((1 << bits) - 1)).astype(f"u{bits // 8}")
                extra = [_icc(rgb_profile(space, gamma))]
                data = tiff(values, bits=bits, photometric=tf.RGB, layout=layout, extra=extra)
                yield Cell(
                    name=f"tiff/icc-{name}/rgb/uint{bits}/{layout}", encoded=data, reference=pic.picture()
                )
            values = np.rint(pic.linear(pic.grey() / 255) ** (1 / 1.4) * float((1 << bits) - 1)).astype(
                f"u{bits // 8}"
            )
            extra = [_icc(grey_profile(1.4))]
            data = tiff(values, bits=bits, photometric=tf.BLACK_IS_ZERO, layout=layout, extra=extra)
            reference = pic.as_rgb(pic.grey())
            yield Cell(name=f"tiff/icc-grey/grey/uint{bits}/{layout}", encoded=data, reference=reference)
            ink = pic.inks(black=True)
            extra = [_icc(cmyk_profile())]
            data = tiff(_whole(ink, bits), bits=bits, photometric=tf.SEPARATED, layout=layout, extra=extra)
            yield Cell(
                name=f"tiff/icc-cmyk/cmyk/uint{bits}/{layout}",
                encoded=data,
                reference=pic.picture(),
                tolerance=4,
                must_be_right=bits == 8,
            )


def _icc(profile: bytes) -> Tag:
    return (ICC, tf.UNDEFINED, list(profile))


def _chroma() -> Iterator[Cell]:
    """YCbCr with one chroma sample for two or four pixels; the last row and column are padded."""
    for across, down in ((2, 1), (2, 2)):
        right, below = -pic.SIDE_PX % across, -pic.SIDE_PX % down
        padded = np.pad(pic.ycc(pic.soft()), ((0, below), (0, right), (0, 0)), mode="edge")
        height, width = padded.shape[:2]
        units = padded.reshape(height // down, down, width // across, across, 3).transpose(0, 2, 1, 3, 4)
        luma = units[..., 0].reshape(*units.shape[:2], down * across)
        chroma = units[..., 1:].mean(axis=(2, 3))
        data = pic.as_bytes(np.concatenate([luma, chroma], axis=-1)).tobytes()
        for order in ("<", ">"):
            tags = _page_tags(photometric=tf.YCBCR, extra=((530, tf.SHORT, [across, down]),))
            yield Cell(
                name=f"tiff/ycbcr-{across}x{down}/uint8/{'II' if order == '<' else 'MM'}",
                encoded=tf.assemble([(tags, [data])], order=order),
                reference=pic.soft(),
                tolerance=LOSSY_TOLERANCE,
                must_be_right=False,
            )


def _page_tags(*, photometric: int, compression: int = tf.NONE, extra: Sequence[Tag] = ()) -> list[Tag]:
    return [
        (256, tf.LONG, [pic.SIDE_PX]),
        (257, tf.LONG, [pic.SIDE_PX]),
        (258, tf.SHORT, [8, 8, 8]),
        (259, tf.SHORT, [compression]),
        (262, tf.SHORT, [photometric]),
        (277, tf.SHORT, [3]),
        (278, tf.LONG, [pic.SIDE_PX]),
        *extra,
    ]


def _by_libtiff() -> Iterator[Cell]:
    """Compressions of which we have no encoder of our own."""
    whole = Image.fromarray(pic.picture())
    for compression in ("jpeg", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "zstd", "lzma"):
        common = compression not in ("zstd", "lzma")
        for mode, reference in (("RGB", pic.picture()), ("L", pic.as_rgb(pic.grey()))):
            image = whole if mode == "RGB" else Image.fromarray(pic.grey())
            buffer = io.BytesIO()
            quality = {"quality": 97} if compression == "jpeg" else {}
            image.save(buffer, "TIFF", compression=compression, **quality)
            yield Cell(
                name=f"tiff/libtiff-{compression}/{mode}",
                encoded=buffer.getvalue(),
                reference=reference,
                tolerance=LOSSY_TOLERANCE,
                must_be_right=common,
            )
    two_levels = ((pic.grey() > 127) * 255).astype(np.uint8)
    for compression in ("group3", "group4", "tiff_ccitt", "tiff_lzw", "packbits"):
        buffer = io.BytesIO()
        Image.fromarray(two_levels).convert("1", dither=Image.Dither.NONE).save(
            buffer, "TIFF", compression=compression
        )
        yield Cell(
            name=f"tiff/libtiff-{compression}/1",
            encoded=buffer.getvalue(),
            reference=pic.as_rgb(two_levels),
            must_be_right=compression in ("group4", "tiff_lzw", "packbits"),
        )
    for space, photometric, keep in (("rgb", tf.RGB, True), ("ycbcr", tf.YCBCR, False)):
        buffer = io.BytesIO()
        whole.save(buffer, "JPEG", quality=97, subsampling=0, keep_rgb=keep)
        tags = _page_tags(
            photometric=photometric,
            compression=tf.JPEG,
            extra=() if keep else ((530, tf.SHORT, [1, 1]),),
        )
        for order in ("<", ">"):
            yield Cell(
                name=f"tiff/jpeg-{space}/uint8/{'II' if order == '<' else 'MM'}",
                encoded=tf.assemble([(tags, [buffer.getvalue()])], order=order),
                reference=pic.picture(),
                tolerance=LOSSY_TOLERANCE,
            )


def _rare() -> Iterator[Cell]:
    """Make TIFFs with the bits of each byte reversed, and with JPEG in several strips."""
    two_levels = (pic.grey() > 127).astype(np.uint8)
    rows = np.frombuffer(tf.packed_samples(two_levels[..., None], 1), np.uint8)
    reversed_ = np.packbits(np.unpackbits(rows[:, None], axis=1)[:, ::-1], axis=1).tobytes()
    tags: list[Tag] = [
        (256, tf.LONG, [pic.SIDE_PX]),
        (257, tf.LONG, [pic.SIDE_PX]),
        (258, tf.SHORT, [1]),
        (259, tf.SHORT, [tf.NONE]),
        (262, tf.SHORT, [tf.BLACK_IS_ZERO]),
        (266, tf.SHORT, [2]),
        (277, tf.SHORT, [1]),
        (278, tf.LONG, [pic.SIDE_PX]),
    ]
    yield Cell(
        name="tiff/fill-order-reversed/uint1",
        encoded=tf.assemble([(tags, [reversed_])]),
        reference=pic.as_rgb(two_levels * np.uint8(255)),
        must_be_right=False,
    )
    strips = [jpeg(pic.picture()[top : top + 16]) for top in range(0, pic.SIDE_PX, 16)]
    tags = _page_tags(photometric=tf.YCBCR, compression=tf.JPEG, extra=((530, tf.SHORT, [1, 1]),))
    tags = [(number, kind, [16] if number == 278 else values) for number, kind, values in tags]
    yield Cell(
        name="tiff/jpeg-ycbcr-strips/uint8",
        encoded=tf.assemble([(tags, strips)]),
        reference=pic.picture(),
        tolerance=LOSSY_TOLERANCE,
    )
    segments, _ = segments_of(strips[0])
    tables = b"\xff\xd8" + b"".join(part for part in segments if part[1] in (0xDB, 0xC4)) + b"\xff\xd9"
    bare = []
    for strip in strips:
        parts, rest = segments_of(strip)
        bare.append(joined([part for part in parts if part[1] not in (0xDB, 0xC4)], rest))
    yield Cell(
        name="tiff/jpeg-ycbcr-strips-tables-apart/uint8",
        encoded=tf.assemble([([*tags, (347, tf.UNDEFINED, list(tables))], bare)]),
        reference=pic.picture(),
        tolerance=LOSSY_TOLERANCE,
    )
