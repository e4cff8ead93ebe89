"""Files that lack a part, files that only look as if they did, and files that are not pictures."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from tools.picture_matrix import png_file as pf
from tools.picture_matrix import tiff_file as tf
from tools.picture_matrix.bmp_gif_cells import bmp, gif
from tools.picture_matrix.iso_cells import avif, heic
from tools.picture_matrix.jpeg_file import jpeg
from tools.picture_matrix.odd.catalogue import OddPicture
from tools.picture_matrix.odd.colours import base, base_grey, stored
from tools.picture_matrix.picture import Pixels
from tools.picture_matrix.tiff_cells import indexed
from tools.picture_matrix.tiff_file import tiff
from tools.picture_matrix.webp_cells import webp

TRUNCATED = "dead:truncated"


def pictures() -> Iterator[OddPicture]:
    """Make the broken files."""
    yield from _whole()
    yield from _cut()
    yield from _preallocated()
    yield from _hostile()
    yield from _not_pictures()


def _textured() -> Pixels:
    """Return a picture of which each part fills a part of the file."""
    noise = np.random.default_rng(5).integers(-20, 20, base().shape)
    return np.clip(base().astype(int) + noise, 0, 255).astype(np.uint8)


def _formats(pixels: Pixels) -> Iterator[tuple[str, bytes]]:
    yield "baseline.jpg", jpeg(pixels)
    yield "progressive.jpg", jpeg(pixels, progressive=True)
    yield "restarts.jpg", jpeg(pixels, restart_marker_rows=1)
    yield "lossless.webp", webp(pixels)
    yield "lossy.webp", webp(pixels, lossless=False)
    yield "picture.avif", avif(pixels)
    yield "picture.heic", heic(pixels)
    yield "picture.png", pf.png(pixels, bits=8, kind=pf.RGB)
    yield "picture.tif", tiff(pixels, bits=8, photometric=tf.RGB)


def _whole() -> Iterator[OddPicture]:
    """Files with all their pixels, which strict readers refuse."""
    for name, encoded in (("baseline", jpeg(base())), ("progressive", jpeg(base(), progressive=True))):
        yield stored(f"no_end_mark_{name}.jpg", encoded[:-2], base())
        yield stored(f"trailing_bytes_{name}.jpg", encoded + b"\r\n\0\0garbage" * 100, base())
        yield stored(f"trailing_zeros_{name}.jpg", encoded + bytes(5000), base())
        yield stored(f"fill_bytes_{name}.jpg", encoded[:2] + b"\xff\xff\xff" + encoded[2:], base())
    png = pf.png(base(), bits=8, kind=pf.RGB)
    yield stored("trailing_zeros.png", png + bytes(5000), base())
    yield stored("trailing_zeros.webp", webp(base()) + bytes(5000), base())
    yield stored("picture_named.jpg", png, base())
    yield stored("no_suffix", jpeg(base()), base())
    # The end of these files is as regular as that of a file which was not written to its end.
    for name, part in (("half", 2), ("third", 3)):
        dark = base().copy()
        dark[dark.shape[0] * (part - 1) // part :] = 0
        for file, encoded in _formats(dark):
            yield stored(f"black_last_{name}_{file}", encoded, dark)
    for file, encoded in _formats(np.zeros_like(base())):
        yield stored(f"all_black_{file}", encoded, np.zeros_like(base()))


def _cut() -> Iterator[OddPicture]:
    for name, encoded in _formats(_textured()):
        # The directory of our TIFF is at its end, so what is left has no header.
        for share in (0.4, 0.8) if not name.endswith("tif") else ():
            data = encoded[: int(len(encoded) * share)]
            expect = f"{TRUNCATED}|dead:corrupt" if name.endswith("heic") else TRUNCATED
            yield OddPicture(file=f"cut_{share * 100:.0f}_{name}", encoded=data, expect=expect)
    rows = np.ascontiguousarray(_textured()[::-1, :, ::-1]).tobytes()
    bitmap = bmp(rows, bits=24, size_px=(base().shape[1], base().shape[0]))
    index, palette = indexed(256, _textured())
    for name, encoded in (("picture.bmp", bitmap), ("picture.gif", gif([index], palette))):
        half = encoded[: len(encoded) // 2]
        yield OddPicture(file=f"cut_50_{name}", encoded=half, expect=TRUNCATED)


def _preallocated() -> Iterator[OddPicture]:
    """Files of full length whose end was not written yet, as after a broken copy or download."""
    for name, encoded in _formats(_textured()):
        for share in (0.5, 0.9):
            written = int(len(encoded) * share)
            data = encoded[:written] + bytes(len(encoded) - written)
            expect = TRUNCATED if not name.endswith(("heic", "tif")) else f"{TRUNCATED}|dead:corrupt"
            yield OddPicture(file=f"zeros_from_{share * 100:.0f}_{name}", encoded=data, expect=expect)


def _hostile() -> Iterator[OddPicture]:
    yield OddPicture(file="400_scans.jpg", encoded=many_scans(400), expect="dead:too_costly")
    plain = jpeg(base_grey())
    for name, height, expect in (
        ("65535_rows", b"\xff\xff", f"dead:corrupt|{TRUNCATED}"),
        ("no_rows", b"\0\0", "dead:zero_size|dead:corrupt"),
    ):
        at = plain.index(b"\xff\xc0") + 5
        yield OddPicture(file=f"{name}.jpg", encoded=plain[:at] + height + plain[at + 2 :], expect=expect)


def many_scans(count: int) -> bytes:
    """Return a progressive JPEG that says it has 5000 × 5000 pixels, with one of its scans many times."""
    encoded = jpeg(base(), progressive=True)
    at = encoded.index(b"\xff\xc2") + 5
    large = (5000).to_bytes(2, "big")
    encoded = encoded[:at] + large + large + encoded[at + 4 :]
    last = encoded.rindex(b"\xff\xda")
    return encoded[:last] + encoded[last:-2] * count + encoded[-2:]


def _not_pictures() -> Iterator[OddPicture]:
    for file, encoded, expect in (
        ("error_page.jpg", b"<!DOCTYPE html><html>404 Not Found</html>", "dead:not_an_image"),
        ("empty.jpg", b"", "dead:empty"),
        ("zeros.jpg", bytes(50000), "dead:not_an_image"),
        ("text.png", b"see the folder on the other disk\n", "dead:not_an_image"),
        ("packed.jpg", b"\x1f\x8b\x08\0" + zlib.compress(jpeg(base())), "dead:format_not_allowed"),
        ("video.jpg", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(500), "dead:format_not_allowed"),
        ("vector.jpg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "dead:format_not_allowed"),
        (
            "brand_only.heic",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
            f"dead:format_not_allowed|{TRUNCATED}|dead:corrupt|dead:unsupported",
        ),
        ("only_two_bytes.jpg", b"\xff\xd8", "dead:truncated|dead:not_an_image"),
    ):
        yield OddPicture(file=file, encoded=encoded, expect=expect)
