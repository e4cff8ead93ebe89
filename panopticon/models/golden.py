"""Golden examples: images for which a card states the values that its model must return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import CardError, Golden, ModelCard
from panopticon.errors import Rejected, Unavailable
from panopticon.images.decoding import decode
from panopticon.images.plugin import try_plugin
from panopticon.interfaces import Engine
from panopticon.models.golden_files import MissingImage, read_golden


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
            encoded = read_golden(card, golden)
        except MissingImage as missing:
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
