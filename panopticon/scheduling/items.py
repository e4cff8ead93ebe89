"""The images that a model is given to run, and its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.messages import Lane


@dataclass(frozen=True, slots=True)
class Item:
    """One image for a model to run: the URI of its original, or the encoded bytes themselves.

    It is sent to a model process as it is, so its fields are a part of that protocol, and it can be built by
    position.
    """

    type: ClassVar = "item"
    """Its `type` among the frames of `workers/model_process/frames.py`."""
    id: int
    lane: Lane
    uri: str = ""
    """Empty if `encoded` holds the image."""
    encoded: bytes | None = None
    """The image itself, for a caller that has already received it. None: it is fetched from `uri`."""
    trace: str = ""
    """A text by which the caller knows the image, such as a request ID; it goes into warnings about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The description of a model that has passed its self-test."""

    digest: str
    engine: str
    libraries: str
    best_batch: int
    dim: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ran:
    """An image that the model has run on."""

    item: Item
    vector: NDArray[np.float32]
    """Shape (D,)."""
    engine: str
    libraries: str
    source_sha256: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """An image that the model has not run on, and the reason."""

    item: Item
    error: Rejected | Transient | Unavailable


Answer = Ran | NotRun
