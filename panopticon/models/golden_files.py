"""The files of golden examples, as they are encoded. Nothing here decodes an image."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from panopticon.cards.cards import Golden, ModelCard

GREY = (128, 128, 128)


class MissingImage(Exception):  # noqa: N818
    """An image that a card names is not on this machine."""


def control_picture(card: ModelCard) -> bytes:
    """Return an encoded picture on which the model is known to run.

    This is the first golden image on this machine, or a plain grey picture if there is none.
    """
    for golden in card.golden:
        with suppress(MissingImage):
            return read_golden(card, golden)
    # Only here, because the parent of a model process would import it for nothing.
    from PIL import Image

    grey = io.BytesIO()
    Image.new("RGB", (card.input.width_px, card.input.height_px), GREY).save(grey, "png")
    return grey.getvalue()


def read_golden(card: ModelCard, golden: Golden) -> bytes:
    """Return the bytes of a golden image. Raises: MissingImage."""
    package, separator, inside = golden.image.partition(":")
    path = _path_inside(package, inside) if separator else card.folder / golden.image
    return _read(path, golden.sha256)


def _path_inside(package: str, path: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingImage(f"{package} is not installed")
    return Path(spec.origin).parent / path


def _read(path: Path, sha256: str) -> bytes:
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise MissingImage(f"{path}: {error.strerror}") from None
    actual = hashlib.sha256(encoded).hexdigest()
    if actual != sha256:
        raise MissingImage(f"{path} has sha256 {actual}, the card has {sha256}")
    return encoded
