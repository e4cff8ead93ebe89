"""Golden examples: images for which a card states the values that its model must return."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from panopticon.cards.cards import CardError, Golden, ModelCard
from panopticon.errors import Rejected, Unavailable
from panopticon.images.decoding import decode
from panopticon.images.plugin import try_plugin
from panopticon.interfaces import Engine

GREY = (128, 128, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenResult:
    """The result of one golden example on one engine."""

    image: str
    ok: bool
    """True also if the example was skipped."""
    detail: str
    skipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GoldenImage:
    """A golden example with its image decoded for the model."""

    golden: Golden
    pixels: NDArray[np.uint8] | None
    """(H, W, 3) at the card's input size; None if the image is not on this machine."""
    missing: str = ""
    """Reason for which the image is not on this machine."""


def check_golden(card: ModelCard, engine: Engine) -> list[GoldenResult]:
    """Run every golden example of the card through the decoder and the loaded engine, in the card's order.

    Raises: CardError as `golden_images` does, or if the model has no element of an expected name.
    """
    return [_check(card, engine, image) for image in golden_images(card)]


def self_test(card: ModelCard, engine: Engine) -> None:
    """Check the plug-in, then the golden examples that are on this machine.

    A broken plug-in is found here, before a failure could be counted against an image.
    Raises: Unavailable if the engine fails a golden example; CardError as `check_golden` and `try_plugin` do.
    """
    if plugin := card.preprocessing.custom:
        try_plugin(plugin, input=card.input, preprocessing=card.preprocessing)
    wrong = [f"{result.image}: {result.detail}" for result in check_golden(card, engine) if not result.ok]
    if wrong:
        raise Unavailable("model", f"{card.version_name} fails its self-test: {wrong[0]}")


def golden_images(card: ModelCard) -> Iterator[GoldenImage]:
    """Yield the card's golden examples, in its order.

    An image of a package counts as missing if the package or the file is not there, or has other content.
    Raises: CardError if an image next to the card is missing or altered, or any cannot be decoded.
    """
    for golden in card.golden:
        try:
            encoded = _encoded(card, golden)
        except _Missing as missing:
            # A card comes with the images in its folder; a package is installed where it is needed only.
            if ":" not in golden.image:
                raise CardError(f"{card.version_name}: golden image {missing}") from None
            yield GoldenImage(golden=golden, pixels=None, missing=str(missing))
        else:
            try:
                decoded = decode(encoded, input=card.input, preprocessing=card.preprocessing)
            except Rejected as error:
                raise CardError(f"{card.version_name}: golden image {golden.image}: {error}") from None
            yield GoldenImage(golden=golden, pixels=decoded.pixels)


def control_picture(card: ModelCard) -> bytes:
    """Return an encoded picture on which the model is known to run.

    This is the first golden image on this machine, or a plain grey picture if there is none.
    """
    for golden in card.golden:
        with suppress(_Missing):
            return _encoded(card, golden)
    grey = io.BytesIO()
    Image.new("RGB", (card.input.width_px, card.input.height_px), GREY).save(grey, "png")
    return grey.getvalue()


class _Missing(Exception):  # noqa: N818
    """An image that a card names is not on this machine."""


def _encoded(card: ModelCard, golden: Golden) -> bytes:
    """Return the bytes of a golden image. Raises: _Missing."""
    package, separator, inside = golden.image.partition(":")
    path = _path_inside(package, inside) if separator else card.folder / golden.image
    return _read(path, golden.sha256)


def _path_inside(package: str, path: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise _Missing(f"{package} is not installed")
    return Path(spec.origin).parent / path


def _read(path: Path, sha256: str) -> bytes:
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise _Missing(f"{path}: {error.strerror}") from None
    actual = hashlib.sha256(encoded).hexdigest()
    if actual != sha256:
        raise _Missing(f"{path} has sha256 {actual}, the card has {sha256}")
    return encoded


def _check(card: ModelCard, engine: Engine, image: GoldenImage) -> GoldenResult:
    golden = image.golden
    if image.pixels is None:
        return GoldenResult(image=golden.image, ok=True, skipped=True, detail=image.missing)
    vector = engine.run(image.pixels[np.newaxis])[0]
    places = {row.label: place for place, row in enumerate(card.labels)}
    unknown = golden.expected.keys() - places.keys()
    if unknown:
        raise CardError(
            f"{card.version_name}: golden image {golden.image} expects an unknown element {min(unknown)!r}"
        )
    values = {name: float(vector[places[name]]) for name in golden.expected}
    # `not … <= …` rather than `>`, so that NaN fails.
    wrong = [
        f"{name} is {values[name]:.4g}, not {expected:.4g} ± {golden.tolerance:g}"
        for name, expected in golden.expected.items()
        if not abs(values[name] - expected) <= golden.tolerance
    ]
    values_text = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    return GoldenResult(image=golden.image, ok=not wrong, detail="; ".join(wrong) or values_text)
