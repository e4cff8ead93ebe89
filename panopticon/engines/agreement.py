"""Comparison of two engines of one model version by their outputs for the same images."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.models.golden import golden_images

NOISY_IMAGES = 4
"""Images of random pixels among the probes."""


class BatchRunner(Protocol):
    """A loaded model: the part of `interfaces.Engine` that a comparison needs."""

    best_batch: int

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model: (N, H, W, 3) RGB, 0 to 255 → (N, D)."""


def probes(card: ModelCard) -> NDArray[np.uint8]:
    """Return images of the card's input size, (N, H, W, 3): black, white, a ramp, noise, and golden images.

    Golden images that are not on this machine are left out.
    """
    shape = (card.input.height_px, card.input.width_px, 3)
    ramp = np.linspace(0, 255, np.prod(shape)).astype(np.uint8).reshape(shape)
    noise = np.random.default_rng(0).integers(0, 256, (NOISY_IMAGES, *shape), dtype=np.uint8)
    golden = [image.pixels for image in golden_images(card) if image.pixels is not None]
    return np.stack([np.zeros_like(ramp), np.full_like(ramp, 255), ramp, *noise, *golden])


def greatest_difference(one: BatchRunner, other: BatchRunner, images: NDArray[np.uint8]) -> float:
    """Return the greatest absolute difference in any element; infinite if only one of two elements is finite.

    Both engines must be loaded. Each runs the images in batches of its own best size.
    """
    apart = np.abs(_outputs(one, images).astype(np.float64) - _outputs(other, images))
    return float(np.nan_to_num(apart, nan=np.inf).max())


def _outputs(runner: BatchRunner, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    size = runner.best_batch
    return np.concatenate([runner.run(images[start : start + size]) for start in range(0, len(images), size)])
