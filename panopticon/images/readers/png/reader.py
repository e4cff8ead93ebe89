"""Reading PNG, without the chunks that do not affect its pixels.

Text, time, animation and private chunks are removed before Pillow reads the file: they can hold decompression
bombs (compressed text) and cause warnings (broken animation), and nothing of them is visible.
Source: PNG (Third Edition), section 5.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from panopticon.images.colour import Encoding, additive
from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.animation import most_frames, shows_something
from panopticon.images.readers.exif import orientation_of
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.png.chunks import SIGNATURE, Chunk, Header, Kind, chunks_of, header_of, unpacks
from panopticon.images.readers.png.colour import CICP_BYTES, encoding_from
from panopticon.images.readers.png.deep import curve_of, eight_bits
from panopticon.images.readers.png.frames import Frame, frames_of
from panopticon.images.readers.reader import Shrink

_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"iCCP", b"IEND"})
_COLOUR = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a PNG. Raises: Rejected (see `Reader`)."""
    chunks = chunks_of(encoded)
    picture = _still(chunks, limits)
    if any(chunk.name == b"acTL" for chunk in chunks) and not shows_something(picture.image):
        return _first_shown(chunks, limits) or picture
    return picture


def picture_of(chunks: Sequence[Chunk]) -> bytes:
    """Return a PNG with only the chunks that are needed to show it; a profile only if it counts."""
    kept = set(_KEPT)
    # The transparent colour of grey and RGB is read here, by all of its bits.
    if header_of(chunks).kind != Kind.PALETTE:
        kept.discard(b"tRNS")
    profile = _content_of(chunks, b"iCCP")
    if not unpacks(profile) or len(_content_of(chunks, b"cICP")) == CICP_BYTES:
        kept.discard(b"iCCP")
    return b"".join([SIGNATURE, *(chunk.whole for chunk in chunks if chunk.name in kept)])


def _still(chunks: Sequence[Chunk], limits: DecodeLimits) -> Picture:
    """Decode the picture that programs without animation show."""
    header, encoded = header_of(chunks), picture_of(chunks)
    image = open_header(PngImageFile, encoded, limits)
    profile = image.info.get("icc_profile")
    encoding = _encoding(chunks)
    key = _key(chunks, header)
    # A system gamma is a function of a whole pixel, not a curve of each sample.
    curved = encoding if encoding and encoding.system_gamma == 1.0 else None
    # Pillow makes colours of grey with alpha, and a grey profile does not fit those.
    is_grey_with_profile = header.kind == Kind.GREY_ALPHA and profile
    if header.depth == 16 and (curved or key or is_grey_with_profile):
        pixels = eight_bits(encoded, Kind(header.kind), curve_of(curved), key, limits)
        rest = Encoding(primaries=curved.primaries) if curved else encoding
        picture = Picture(image=pixels, stored_size_px=pixels.size, profile=profile, encoding=rest)
    else:
        if key:
            image.info["transparency"] = key[0] if header.kind == Kind.GREY else key
        picture = replace(loaded(image), encoding=encoding)
    return replace(picture, orientation=orientation_of(_content_of(chunks, b"eXIf")))


def _encoding(chunks: Sequence[Chunk]) -> Encoding | None:
    # Of two chunks of one kind, which are not allowed, the first counts.
    colour = {chunk.name: chunk.content for chunk in reversed(chunks) if chunk.name in _COLOUR}
    if not unpacks(colour.get(b"iCCP", b"")):
        colour.pop(b"iCCP", None)
    return encoding_from(colour)


def _key(chunks: Sequence[Chunk], header: Header) -> tuple[int, ...] | None:
    """Return the transparent colour of a grey or RGB image, in the numbers that the decoder gives."""
    samples = {Kind.GREY: 1, Kind.RGB: 3}.get(header.kind)  # type: ignore[call-overload]
    content = _content_of(chunks, b"tRNS")
    if not samples or len(content) != 2 * samples:
        return None
    largest = 2**header.depth - 1
    # Bits above the depth do not count. The decoder stretches one, two and four bits to eight.
    stretch = 255 // largest if header.depth < 8 else 1
    return tuple((value & largest) * stretch for value in struct.unpack(f">{samples}H", content))


def _content_of(chunks: Sequence[Chunk], name: bytes) -> bytes:
    return next((chunk.content for chunk in chunks if chunk.name == name), b"")


def _first_shown(chunks: Sequence[Chunk], limits: DecodeLimits) -> Picture | None:
    """Decode the first frame of an animation that shows something.

    The frames before it show nothing, so nothing of them has to be drawn first.
    """
    canvas_px = header_of(chunks).size_px
    for frame in islice(frames_of(chunks), most_frames(canvas_px, limits)):
        right_px, bottom_px = frame.left_px + frame.size_px[0], frame.top_px + frame.size_px[1]
        if right_px > canvas_px[0] or bottom_px > canvas_px[1]:
            return None
        picture = _still(chunks_of(frame.encoded), limits)
        if shows_something(picture.image):
            return picture if frame.size_px == canvas_px else _on_canvas(picture, frame, canvas_px)
    return None


def _on_canvas(picture: Picture, frame: Frame, canvas_px: tuple[int, int]) -> Picture:
    canvas = Image.new("RGBA", canvas_px)
    canvas.paste(additive(picture.image).convert("RGBA"), (frame.left_px, frame.top_px))
    return replace(picture, image=canvas, stored_size_px=canvas_px)
