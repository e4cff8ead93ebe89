"""Containers: orientation wherever it stands, several pictures in a file, pages, previews and frames."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tools.picture_matrix import picture as pic
from tools.picture_matrix import png_file as pf
from tools.picture_matrix import tiff_file as tf
from tools.picture_matrix.bmp_gif_cells import gif
from tools.picture_matrix.iso_cells import avif, heic, heif_group
from tools.picture_matrix.jpeg_file import XMP, exif_segment, jpeg, segment, with_segments
from tools.picture_matrix.odd.catalogue import OddPicture
from tools.picture_matrix.odd.colours import MAYBE, base, base_grey, stored
from tools.picture_matrix.png_cells import apng
from tools.picture_matrix.tiff_cells import ORIENTATION, indexed
from tools.picture_matrix.tiff_file import Tag, tiff
from tools.picture_matrix.turning import exif, stored_for
from tools.picture_matrix.webp_cells import webp

RAW = "stored|dead:unsupported|dead:format_not_allowed|aside"


def pictures() -> Iterator[OddPicture]:
    """Make the odd pictures of containers."""
    yield from _oriented()
    yield from _several()
    yield from _pages()
    yield from _cameras()
    yield from _animated()


def _oriented() -> Iterator[OddPicture]:
    turned = stored_for(base(), 6)
    plain = jpeg(turned)
    once, upright = exif(6, headers=1), exif(1, headers=1)
    # The directory promises five tags, and the file ends behind the first.
    cut = once[:14] + b"\5" + once[15:-4]
    for name, parts in (
        ("exif", [exif_segment(once)]),
        ("exif_big_endian", [exif_segment(exif(6, order=">", headers=1))]),
        ("exif_header_doubled", [exif_segment(exif(6, headers=2))]),
        ("exif_twice", [exif_segment(once), exif_segment(upright)]),
        ("exif_after_xmp", [segment(0xE1, XMP), exif_segment(once)]),
        ("exif_cut_after_orientation", [exif_segment(cut)]),
    ):
        yield stored(f"{name}.jpg", with_segments(plain, *parts), base())
    tag: Tag = (ORIENTATION, tf.SHORT, [6])
    yield stored("orientation.tif", tiff(turned, bits=8, photometric=tf.RGB, extra=[tag]), base())
    early = [(b"eXIf", exif(6))]
    yield stored("exif.png", pf.png(turned, bits=8, kind=pf.RGB, before=early), base())
    yield stored("exif_late.png", pf.png(turned, bits=8, kind=pf.RGB, after=early), base())
    doubled = [(b"eXIf", exif(6, headers=1))]
    yield stored("exif_with_header.png", pf.png(turned, bits=8, kind=pf.RGB, before=doubled), base())
    for headers in (0, 1, 2):
        yield stored(f"exif_{headers}_headers.webp", webp(turned, exif=exif(6, headers=headers)), base())
    saved = Image.Exif()
    saved[ORIENTATION] = 6
    yield stored("irot.avif", avif(turned, exif=saved), base())
    yield stored("irot.heic", heic(turned, exif=once), base())


def _several() -> Iterator[OddPicture]:
    main = Image.fromarray(base())
    for name, other in (
        ("stereo", Image.fromarray(255 - base())),
        ("gain_map", Image.fromarray(255 - base_grey()).resize((80, 60)).convert("RGB")),
    ):
        buffer = io.BytesIO()
        main.save(buffer, "MPO", quality=97, subsampling=0, save_all=True, append_images=[other])
        yield stored(f"mpo_{name}.jpg", buffer.getvalue(), base())
    # A video contains what looks like the start of a scan about once in 65,536 bytes; here it always does.
    video = b"MotionPhoto_Data\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\xff\xda\0\x0c" * 100_000
    yield stored("motion_baseline.jpg", jpeg(base()) + video, base())
    # Phones cut a photo into tiles, and add a thumbnail, a second picture or a map of depth.
    yield stored("tiles.heic", heic(base(), tile_size=128), base())
    yield stored("thumbnail.heic", heic(base(), thumbnails=[64]), base())
    group = heif_group([255 - base(), base()], primary=1)
    yield stored("burst_second_is_primary.heic", group, base())
    large = pic.picture(1800, 2400)
    progressive = jpeg(large, progressive=True, quality=90)
    yield stored("progressive_4_megapixels.jpg", progressive, large)
    yield stored("motion_progressive_4_megapixels.jpg", progressive + video, large)


def _pages() -> Iterator[OddPicture]:
    small = np.asarray(Image.fromarray(base()).resize((80, 60)))
    for name, order in (("thumbnail_first", (small, base())), ("thumbnail_last", (base(), small))):
        pages = [_page(each, reduced=each is small) for each in order]
        yield stored(f"{name}.tif", tf.assemble(pages), base())
    yield stored("pages.tif", tf.assemble([_page(base()), _page(255 - base())]), base())
    buffer = io.BytesIO()
    Image.fromarray(base()).save(buffer, "TIFF", compression="jpeg", quality=95)
    yield stored("jpeg_in_tiff.tif", buffer.getvalue(), base())
    two_levels = ((base_grey() > 127) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(two_levels).convert("1").save(buffer, "TIFF", compression="group4")
    yield stored("fax.tif", buffer.getvalue(), pic.as_rgb(two_levels))
    old = jpeg(base(), subsampling="4:2:0")
    tags = [*_size(base()), (258, tf.SHORT, [8, 8, 8]), (259, tf.SHORT, [6]), (262, tf.SHORT, [tf.YCBCR])]
    tags += [
        (277, tf.SHORT, [3]),
        (278, tf.LONG, [base().shape[0]]),
        (513, tf.LONG, [8]),
        (514, tf.LONG, [len(old)]),
    ]
    data = tf.assemble([([*tags, (530, tf.SHORT, [2, 2])], [old])])
    yield OddPicture(file="old_jpeg_in_tiff.tif", encoded=data, expect=MAYBE, reference=base())


def _size(pixels: pic.Pixels) -> list[Tag]:
    return [(256, tf.LONG, [pixels.shape[1]]), (257, tf.LONG, [pixels.shape[0]])]


def _page(pixels: pic.Pixels, *, reduced: bool = False) -> tuple[list[Tag], list[bytes]]:
    tags: list[Tag] = [
        (254, tf.LONG, [int(reduced)]),
        *_size(pixels),
        (258, tf.SHORT, [8, 8, 8]),
        (259, tf.SHORT, [tf.NONE]),
        (262, tf.SHORT, [tf.RGB]),
        (277, tf.SHORT, [3]),
        (278, tf.LONG, [pixels.shape[0]]),
    ]
    return tags, [pixels.tobytes()]


def _cameras() -> Iterator[OddPicture]:
    """TIFF as cameras write it: the first directory is a thumbnail, another one has the sensor's values.

    Refused in words, or decoded at full size; the thumbnail is never taken for the photo.
    """
    cameras: list[tuple[str, bytes, bytes, list[Tag]]] = [
        ("DSC_0001.NEF", b"NIKON CORPORATION\0", b"", []),
        ("IMG_0001.DNG", b"Google\0", b"", [(50706, tf.BYTE, [1, 4, 0, 0])]),
        ("IMG_0002.CR2", b"Canon\0", b"CR\2\0\0\0\0\0", []),
    ]
    for file, make, signature, version in cameras:
        for name, preview in (("", b""), ("_with_preview", jpeg(base()))):
            stem, _, suffix = file.partition(".")
            data = _camera_file(make, signature, version, preview)
            yield OddPicture(file=f"{stem}{name}.{suffix}", encoded=data, expect=RAW, reference=base())


def _camera_file(make: bytes, signature: bytes, version: list[Tag], preview: bytes) -> bytes:
    thumbnail = np.asarray(Image.fromarray(base()).resize((80, 60)))
    sensor = (base_grey().astype("<u2") * 60).tobytes()
    start = 8 + len(signature)
    blocks = sensor + preview
    directories = bytearray()
    places = []
    sub: list[list[Tag]] = [
        [
            (254, tf.LONG, [0]),
            *_size(base()),
            (258, tf.SHORT, [16]),
            (259, tf.SHORT, [1]),
            (262, tf.SHORT, [32803]),
            (273, tf.LONG, [start]),
            (277, tf.SHORT, [1]),
            (278, tf.LONG, [base().shape[0]]),
            (279, tf.LONG, [len(sensor)]),
            (33421, tf.SHORT, [2, 2]),
            (33422, tf.BYTE, [0, 1, 1, 2]),
        ]
    ]
    if preview:
        place = start + len(sensor)
        sub.append(
            [
                (254, tf.LONG, [1]),
                *_size(base()),
                (259, tf.SHORT, [6]),
                (513, tf.LONG, [place]),
                (514, tf.LONG, [len(preview)]),
            ]
        )
    padding = bytes(len(blocks) % 2)
    for tags in sub:
        at, body = tf.directory(sorted(tags), start + len(blocks + padding) + len(directories), "<", False)
        places.append(at)
        directories += body + bytes(len(body) % 2)
    inserted = signature + blocks + padding + bytes(directories)
    tags, strips = _page(thumbnail, reduced=True)
    more: list[Tag] = [(271, tf.BYTE, list(make)), (330, tf.LONG, places), *version]
    return tf.assemble([([*tags, *more], strips)], signature=inserted)


def _animated() -> Iterator[OddPicture]:
    opaque = np.dstack([base(), np.full_like(base_grey(), 255)])
    clear = np.zeros_like(opaque)
    negative = np.dstack([255 - base(), np.full_like(base_grey(), 255)])
    index, palette = indexed(255, base())
    palette = np.concatenate([palette, np.zeros((1, 3), np.uint8)])
    other, nothing = np.ascontiguousarray(index[:, ::-1]), np.full_like(index, 255)
    for name, first, second, frames in (
        ("animated", opaque, negative, [index, other]),
        ("animated_first_frame_clear", clear, opaque, [nothing, index]),
    ):
        later = [Image.fromarray(second)]
        yield stored(f"{name}.png", apng([first, second]), base())
        yield stored(f"{name}.webp", webp(first, save_all=True, append_images=later), base())
        yield stored(f"{name}.avif", avif(first, save_all=True, append_images=later), base())
        yield stored(f"{name}.gif", gif(frames, palette, clear=255), palette[index])
    yield stored("animated_default_apart.png", apng([opaque, negative], apart=True), base())
