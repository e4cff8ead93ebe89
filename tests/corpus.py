"""A folder of broken, hostile and odd files, with the expected fate of each."""

from __future__ import annotations

import os
import random
import socket
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from PIL import Image

from tests import pictures


class Fate(StrEnum):
    """The expected fate of one path."""

    STORED = "stored"
    """A good photo."""
    REJECTED = "rejected"
    """Not a photo, to be rejected with a reason."""
    EITHER = "either"
    """Either stored or rejected: a flipped bit may do harm or not."""
    ALIAS = "alias"
    """A link to a good photo in the folder: the same real path, so the same image."""
    NOT_A_FILE = "not_a_file"
    """A pipe or a socket: not an image; reading it would hang."""
    BROKEN_LINK = "broken_link"
    """A link that leads nowhere or in a circle: not an image; it is reported as unreadable."""
    FOLDER = "folder"
    """A directory named like a photo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The expected fate of every path of a hostile folder."""

    fates: Mapping[bytes, Fate]
    """Fates by absolute path, in bytes, since not every name is text."""

    def paths(self, fate: Fate) -> frozenset[bytes]:
        """Return the paths of one fate."""
        return frozenset(path for path, each in self.fates.items() if each is fate)


@dataclass(frozen=True, slots=True)
class _File:
    name: bytes
    content: bytes
    fate: Fate


def make_hostile_folder(folder: Path) -> Expected:
    """Fill an empty or absent folder with the same files each time, about a thousand in 5 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    root = os.fsencode(folder.resolve())
    fates: dict[bytes, Fate] = {}
    for file in _files():
        path = os.path.join(root, file.name)
        if path in fates:
            raise ValueError(f"two files are named {file.name!r}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(file.content)
        fates[path] = file.fate
    fates |= _links(root) | _specials(root)
    return Expected(fates=fates)


def _files() -> Iterator[_File]:
    yield from _good()
    yield from _odd_names()
    yield from _kinds()
    yield from _wrong_names()
    yield from _truncated()
    yield from _flipped()
    yield from _bombs()
    yield from _no_pixels()


def _good() -> Iterator[_File]:
    for seed in range(20):
        content = pictures.encoded(pictures.photo(160, 120, seed=seed), "JPEG", quality=85)
        yield _File(b"good/photo%02d.jpg" % seed, content, Fate.STORED)
    for name, content in pictures.one_of_each(seed=1).items():
        yield _File(b"good/each." + name.lower().encode(), content, Fate.STORED)
    for orientation in range(1, 9):
        yield _File(b"good/turned%d.jpg" % orientation, pictures.oriented(orientation), Fate.STORED)


_NAMES = (
    "日本語の写真.jpg",
    "фотография.jpg",
    "صورة.jpg",
    "תמונה.jpg",
    "ภาพถ่าย.jpg",
    "ελληνικά.jpg",
    "e\u0301 decomposed.jpg",
    "\u00e9 composed.jpg",
    "🐈‍⬛📷.jpg",
    "two\nlines.jpg",
    "tab\tand\rreturn.jpg",
    "  spaces  .jpg",
    "-rf.jpg",
    "--help",
    "*?[a-z]$HOME`id`;&|.jpg",
    "'quoted\" \\back.jpg",
    "{image_id}%s%00.jpg",
    "https:..example.jpg",
    "\u202egpj.reversed",
    "no extension",
    "x" * 250 + ".jpg",
    "../names/same folder.jpg",
)
_BYTE_NAMES = (b"latin-1 caf\xe9.jpg", b"\xff\xfe\xfd.jpg", b"half \xe6\x97.jpg", b"\x01\x1b[31mred.jpg")


def _odd_names() -> Iterator[_File]:
    names = [name.encode() for name in _NAMES] + list(_BYTE_NAMES)
    for seed, name in enumerate(names):
        content = pictures.encoded(pictures.photo(seed=100 + seed), "JPEG")
        yield _File(os.path.normpath(b"names/" + name), content, Fate.STORED)


def _kinds() -> Iterator[_File]:
    """Yield good pictures of kinds that naive decoders fail on."""
    photo = pictures.photo(seed=2)
    deep = np.linspace(0, 65535, 48 * 36).reshape(36, 48)
    kinds = {
        "sixteen bits.png": pictures.encoded(Image.fromarray(deep.astype(np.uint16)), "PNG"),
        "sixteen bits rgba.png": pictures.png(
            9, 9, depth=16, kind=6, rows=(b"\0" + struct.pack(">H", 30000) * 36) * 9
        ),
        "sixteen bits.tif": pictures.encoded(Image.fromarray(deep.astype(np.uint16)), "TIFF"),
        "floats.tif": pictures.encoded(Image.fromarray((deep / 65535).astype(np.float32)), "TIFF"),
        "integers.tif": pictures.encoded(Image.fromarray(deep.astype(np.int32)), "TIFF"),
        "cmyk.jpg": pictures.encoded(photo.convert("CMYK"), "JPEG"),
        "cmyk.tif": pictures.encoded(photo.convert("CMYK"), "TIFF"),
        "lab.tif": pictures.encoded(photo.convert("LAB"), "TIFF", icc_profile=b""),
        "grey.jpg": pictures.encoded(photo.convert("L"), "JPEG"),
        "grey alpha.png": pictures.encoded(photo.convert("LA"), "PNG"),
        "one bit.png": pictures.encoded(photo.convert("1"), "PNG"),
        "one bit fax.tif": pictures.encoded(photo.convert("1"), "TIFF", compression="group4"),
        "palette.png": pictures.encoded(photo.convert("P"), "PNG", transparency=3),
        "alpha.webp": pictures.encoded(photo.convert("RGBA"), "WEBP", lossless=True),
        "progressive.jpg": pictures.encoded(photo, "JPEG", progressive=True),
        "broken profile.jpg": pictures.encoded(photo, "JPEG", icc_profile=b"no profile at all"),
        "broken exif.jpg": pictures.encoded(photo, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "one pixel.png": pictures.encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
        "thread.png": pictures.encoded(Image.new("RGB", (1, 10_000), "red"), "PNG"),
        "ribbon.jpg": pictures.encoded(Image.new("RGB", (10_000, 1), "red"), "JPEG"),
        "forty megapixels.png": pictures.encoded(Image.new("1", (8000, 5000), 1), "PNG"),
        "forty megapixels.jpg": pictures.encoded(Image.new("L", (8000, 5000), 90), "JPEG"),
        "text bomb.png": pictures.with_chunks(pictures.encoded(photo, "PNG"), *text_bombs()),
        "profile bomb.png": pictures.with_chunks(
            pictures.encoded(photo, "PNG"), (b"iCCP", b"bomb\0\0" + _zeros(64 * 1024 * 1024))
        ),
        "after the end.jpg": pictures.encoded(photo, "JPEG") + b"<?php system('id'); ?>" * 40,
    }
    for name in ("GIF", "WEBP", "PNG", "TIFF"):
        frames = [pictures.photo(seed=seed) for seed in range(3)]
        kinds[f"animated.{name.lower()}"] = pictures.encoded(
            frames[0], name, save_all=True, append_images=frames[1:]
        )
    for kind, content in kinds.items():
        yield _File(b"kinds/" + kind.encode(), content, Fate.STORED)


def _zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), level=9)


def text_bombs() -> list[tuple[bytes, bytes]]:
    """Return a hundred text chunks that unpack to a megabyte each."""
    return [(b"zTXt", b"Comment\0\0" + _zeros(1024 * 1024))] * 100


def _wrong_names() -> Iterator[_File]:
    """Yield files whose suffix is wrong, in both directions, and formats that are known but not decoded."""
    good = pictures.encoded(pictures.photo(seed=3), "JPEG")
    for name in (b"notes.txt", b"table.csv", b"really a jpeg.png", b"archive.zip", b"setup.exe"):
        yield _File(b"liars/" + name, good, Fate.STORED)
    liars = {
        "text.jpg": b"This is only text.\n" * 30,
        "BM text.bmp": b"BMW is a maker of cars.\n" * 9,
        "page.png": b"<!doctype html><title>404</title>",
        "drawing.jpg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        "paper.jpg": b"%PDF-1.7\n" + bytes(200),
        "phone.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
        "film.jpg": b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(200),
        "sound.webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(24),
        "archive.png": b"PK\3\4" + bytes(100),
        "icon.png": pictures.encoded(pictures.photo(seed=3), "ICO"),
        "portable.jpg": pictures.encoded(pictures.photo(seed=3), "PPM"),
        "jpeg 2000.jpg": pictures.encoded(pictures.photo(seed=3), "JPEG2000"),
        "zeros.jpg": bytes(5000),
        "noise.jpg": random.Random(3).randbytes(5000),
        "only a mark.jpg": b"\xff\xd8\xff",
        "empty.jpg": b"",
        "empty": b"",
    }
    for liar, content in liars.items():
        yield _File(b"liars/" + liar.encode(), content, Fate.REJECTED)


def _small() -> dict[str, bytes]:
    """Return a very small file of every format, so that cutting at every tenth byte gives few files."""
    image = pictures.photo(24, 18, seed=4)
    return {name: pictures.encoded(image, name) for name in pictures.FORMAT_OPTIONS}


_END_MARK_BYTES = {"GIF": 2, "JPEG": 2}
"""Bytes at the end of a file that its picture does not need."""


def _truncated() -> Iterator[_File]:
    for name, content in _small().items():
        for length in range(0, len(content), 10):
            nearly_whole = len(content) - length <= _END_MARK_BYTES.get(name, 0)
            yield _File(
                f"truncated/{length:05d}.{name.lower()}".encode(),
                content[:length],
                Fate.EITHER if nearly_whole else Fate.REJECTED,
            )


def _flipped() -> Iterator[_File]:
    rng = random.Random(5)
    for name, content in _small().items():
        for turn in range(20):
            broken = bytearray(content)
            for _ in range(1 + turn % 3):
                broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            yield _File(f"flipped/{turn:02d}.{name.lower()}".encode(), bytes(broken), Fate.EITHER)


def _bombs() -> Iterator[_File]:
    """Yield the files of `bombs`."""
    for name, content in bombs().items():
        yield _File(b"bombs/" + name.encode(), content, Fate.REJECTED)


def bombs() -> dict[str, bytes]:
    """Return small files that would take gigabytes or minutes to decode, by a name with their format."""
    jpeg = bytearray(pictures.encoded(pictures.photo(), "JPEG"))
    size_at = jpeg.index(b"\xff\xc0") + 5
    jpeg[size_at : size_at + 4] = struct.pack(">HH", 65000, 65000)
    gif = bytearray(pictures.encoded(pictures.photo(), "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    wide = bytearray(pictures.encoded(pictures.photo(), "GIF"))
    frame_at = wide.index(b",\0\0\0\0") + 5
    wide[frame_at : frame_at + 4] = struct.pack("<HH", 65535, 65535)
    avif = bytearray(pictures.encoded(pictures.photo(), "AVIF"))
    extent_at = avif.index(b"ispe") + 8
    avif[extent_at : extent_at + 8] = struct.pack(">LL", 60000, 60000)
    canvas = b"VP8X" + struct.pack("<LL", 10, 0) + b"\xff\xff\xff" * 2 + bytes(60)
    tiles = [*pictures.tags_of(10, 10, data_at=0, data_bytes=0)[:5], (322, 4, 1, 40_000), (323, 4, 1, 40_000)]
    return {
        "header.png": pictures.png(60_000, 60_000, rows=bytes(100_000)),
        "header.jpg": bytes(jpeg),
        "canvas.gif": bytes(gif),
        "frame.gif": bytes(wide),
        "extent.avif": bytes(avif),
        "canvas.webp": b"RIFF" + struct.pack("<L", len(canvas) + 4) + b"WEBP" + canvas,
        "header.bmp": pictures.bmp(60_000, 60_000, data=bytes(1000)),
        "header.tif": pictures.tiff(pictures.tags_of(60_000, 60_000, data_at=200, data_bytes=50), bytes(99)),
        "tiles.tif": pictures.tiff([*tiles, (324, 4, 1, 200), (325, 4, 1, 50)], bytes(200)),
        "run length.bmp": pictures.bmp(10_000, 9_000, bits=8, compression=1, data=b"\1\7\0\0" * 9_000),
        "scans.jpg": pictures.many_scans(900),
    }


def _no_pixels() -> Iterator[_File]:
    none = {
        "none.png": pictures.png(0, 0),
        "none.bmp": pictures.bmp(0, 0),
        "none.tif": pictures.tiff(pictures.tags_of(0, 0, data_at=8, data_bytes=0)),
        "none.gif": b"GIF89a" + bytes(7) + b",\0\0\0\0\0\0\0\0\0\2\0;",
    }
    for name, content in none.items():
        yield _File(b"none/" + name.encode(), content, Fate.REJECTED)


def _links(root: bytes) -> dict[bytes, Fate]:
    """Make links. A hard link counts as a file; a soft link has the real path of its target."""
    folder = os.path.join(root, b"links")
    os.makedirs(folder)
    photo = os.path.join(root, b"good", b"photo00.jpg")

    def at(name: bytes) -> bytes:
        return os.path.join(folder, name)

    os.link(photo, at(b"hard.jpg"))
    os.symlink(photo, at(b"soft.jpg"))
    os.symlink(b"nowhere.jpg", at(b"dangling.jpg"))
    os.symlink(b"loop b.jpg", at(b"loop a.jpg"))
    os.symlink(b"loop a.jpg", at(b"loop b.jpg"))
    os.symlink(b".", at(b"circle.jpg"))
    return {
        at(b"hard.jpg"): Fate.STORED,
        at(b"soft.jpg"): Fate.ALIAS,
        at(b"dangling.jpg"): Fate.BROKEN_LINK,
        at(b"loop a.jpg"): Fate.BROKEN_LINK,
        at(b"loop b.jpg"): Fate.BROKEN_LINK,
        at(b"circle.jpg"): Fate.FOLDER,
    }


def _specials(root: bytes) -> dict[bytes, Fate]:
    """Make entries that are not ordinary files, a file that is too large, and one that cannot be read."""
    folder = os.path.join(root, b"specials")
    names = (b"folder.jpg", b"pipe.jpg", b"socket.jpg", b"huge.jpg", b"unreadable.jpg")
    directory, pipe, door, huge, unreadable = (os.path.join(folder, name) for name in names)
    os.makedirs(directory)
    os.mkfifo(pipe)
    _make_socket(folder, b"socket.jpg")
    with open(huge, "wb") as stream:
        stream.truncate(64 * 1024 * 1024 + 1)
    with open(unreadable, "wb") as stream:
        stream.write(pictures.encoded(pictures.photo(seed=6), "JPEG"))
    os.chmod(unreadable, 0)
    return {
        directory: Fate.FOLDER,
        pipe: Fate.NOT_A_FILE,
        door: Fate.NOT_A_FILE,
        huge: Fate.REJECTED,
        unreadable: Fate.EITHER,
    }


def _make_socket(folder: bytes, name: bytes) -> None:
    """Bind a socket through the folder's descriptor, since the path of a socket may not be long."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(b"/proc/self/fd/%d/" % descriptor + name)
    finally:
        os.close(descriptor)
