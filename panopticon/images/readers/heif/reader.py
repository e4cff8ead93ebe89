"""Reading HEIC and other HEIF: the primary picture, which the decoder turns upright.

The decoder allocates by the sizes that a file gives, decodes zeros that a broken copy left without an error,
and dies of some texts. So all of these are checked before it opens the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pi_heif
from PIL import Image

from panopticon.images.colour import Encoding, encoding_of
from panopticon.images.depth import to_eight_bits
from panopticon.images.limits import DecodeLimits, check_pixels
from panopticon.images.picture import Picture
from panopticon.images.readers.iso_media.boxes import BROKEN, Numbers
from panopticon.images.readers.iso_media.items import Items, items_of
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import Reason, rejected

_TOO_MUCH = "decoding it takes too much memory"
_MAX_TILES = 2
"""Pixels of all tiles together, as a multiple of the most pixels allowed: tiles reach over the edges."""
_CODED = frozenset({b"hvc1", b"hev1"})
_TEXT = b"mime"
"""The type of an item whose own type, such as that of XMP, is a text."""
_NEVER_IN_HEVC = bytes(16)
"""More zeros than coded HEVC can contain: inside it, the third zero byte in a row is escaped."""


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a HEIF. Raises: Rejected (see `Reader`)."""
    items = items_of(encoded)
    if items is not None:
        _check_texts(items)
        _check_sizes(encoded, items, limits.max_pixels)
        _check_data(encoded, items)
    with _reading():
        # Neither widened nor packed: pi-heif 1.4 writes past the end if a file claims more bits than it has.
        file = pi_heif.open_heif(encoded, hdr_to_16bit=False, remove_stride=False)
    if not len(file):
        raise rejected(Reason.UNSUPPORTED, "no still picture in it that can be read; save one as JPEG")
    primary = file[file.primary_index]
    check_pixels(primary.size[0], primary.size[1], limits.max_pixels)
    with _reading():
        image: Image.Image = _deep_grey(primary) if primary.mode.startswith("I;") else primary.to_pillow()
    # Turned by the boxes `irot` and `imir` already; the EXIF orientation of a HEIF is only a note about them.
    return Picture(
        image=image,
        stored_size_px=image.size,
        profile=primary.info.get("icc_profile"),
        encoding=_encoding(primary.info.get("nclx_profile")),
    )


def _deep_grey(decoded: pi_heif.HeifImage) -> Image.Image:
    """Return grey of more than eight bits, the only kind that pi-heif does not bring to eight itself."""
    width_px, height_px = decoded.size
    values = np.frombuffer(decoded.data, dtype="<u2").reshape(height_px, -1)
    if values.shape[1] < width_px:
        raise ValueError("the coded picture has fewer bits than the file claims")
    white = 2 ** decoded.info["bit_depth"] - 1
    return Image.fromarray(to_eight_bits(values[:, :width_px], white))


def _encoding(code_points: Mapping[str, Any] | None) -> Encoding | None:
    """Return the encoding that the file names by code points; the decoder widens the range itself."""
    if code_points is None:
        return None
    return encoding_of(code_points["color_primaries"], code_points["transfer_characteristics"])


def _check_texts(items: Items) -> None:
    """Check each item's type, and the name and type of a text: pi-heif 1.4 dies if one is not UTF-8."""
    try:
        for kind in items.kinds:
            kind.kind.decode()
            if kind.kind == _TEXT:
                kind.names.decode()
    except UnicodeDecodeError as error:
        raise rejected(Reason.CORRUPT, BROKEN) from error


def _check_sizes(encoded: bytes, items: Items, max_pixels: int) -> None:
    """Check every size in the file: the primary's own may be a crop of a far larger coded picture."""
    sizes_px: dict[int, tuple[int, int]] = {}
    for item, properties in items.properties.items():
        for box in properties:
            if box.kind == b"ispe":
                # The content begins with a version and flags.
                numbers = Numbers(encoded, box)
                numbers.take(4)
                sizes_px[item] = (numbers.take(4), numbers.take(4))
                check_pixels(*sizes_px[item], max_pixels)
    for parts in items.parts.values():
        coded_px = sum(math.prod(sizes_px.get(part, (0, 0))) for part in parts)
        if coded_px > _MAX_TILES * max_pixels:
            raise rejected(Reason.TOO_COSTLY, f"{len(parts)} tiles of {coded_px} pixels together")


def _check_data(encoded: bytes, items: Items) -> None:
    """Find what a broken copy left empty, because the decoder makes grey of it without an error."""
    for extent in items.extents_of(_CODED):
        at = encoded.find(_NEVER_IN_HEVC, extent.start, extent.end)
        if at >= 0:
            raise rejected(Reason.TRUNCATED, f"nothing but zeros from byte {at}; the copy is incomplete")


@contextmanager
def _reading() -> Iterator[None]:
    """Turn any exception of the decoder into Rejected: it reads one file, so they are about that file.

    pi-heif chooses the class by libheif's error code, and not all of them fit.
    """
    try:
        yield
    except MemoryError as error:
        raise rejected(Reason.TOO_COSTLY, _TOO_MUCH) from error
    except EOFError as error:
        raise rejected(Reason.TRUNCATED, "the end of the file is missing") from error
    except Exception as error:
        message = str(error).strip()
        detail = message.rpartition(": ")[2]
        if message.startswith("Memory allocation error"):
            raise rejected(Reason.TOO_COSTLY, _TOO_MUCH) from error
        if isinstance(error, SyntaxError) or "has not been built in" in message:
            raise rejected(
                Reason.UNSUPPORTED, f"a kind of HEIF that is not read; save it as JPEG ({detail})"
            ) from error
        raise rejected(Reason.CORRUPT, f"the file is damaged ({detail})") from error
