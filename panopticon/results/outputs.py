"""Outputs and failures of images, catalogue rows, and the codec of an output's payload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from panopticon.errors import Rejected
from panopticon.messages import age_rank


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class VersionName:
    """A model and one of its versions, written `tagger@1`."""

    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"

    @property
    def part(self) -> str:
        """The name of its part of a search document, such as `tagger_1`."""
        return f"{self.model}_{self.version}"

    def key(self, image_id: str, revision: int) -> OutputKey:
        """Return the key of this version's output, or failure, for one revision of one image."""
        return OutputKey(image_id=image_id, model=self.model, version=self.version, revision=revision)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class OutputKey:
    """The key of one output or failure."""

    image_id: str
    model: str
    version: int
    revision: int

    @property
    def version_name(self) -> VersionName:
        """The model and its version."""
        return VersionName(model=self.model, version=self.version)

    @property
    def columns(self) -> tuple[str, str, int, int]:
        """The fields in the order of every store's primary key."""
        return self.image_id, self.model, self.version, self.revision


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Output:
    """The raw result of one model version for one revision of one image, before any policy."""

    key: OutputKey
    vector: NDArray[np.floating[Any]]
    """Shape (D,), the card's dtype (float16 or float32), finite."""
    digest: str
    engine: str
    libraries: str
    """Engine and decoder versions, such as `ai-edge-litert 2.3.0, pillow 13.0.0`."""
    source_sha256: str
    width_px: int
    height_px: int
    produced_at_ms: int


class FailureState(StrEnum):
    """The state of a failure, in the order that one failure may go through.

    An image whose failure is `retrying` or `replayed` is pending, one whose failure is `discarded` skipped.
    """

    RETRYING = "retrying"
    """The message waits on a retry delay. By ID only: no list of failures has it."""
    DEAD = "dead"
    REPLAYED = "replayed"
    DISCARDED = "discarded"

    @property
    def rank(self) -> int:
        """The place in the order, 0 for `dead`: of two states of one failure the higher is the later."""
        # Stores keep write times made of ranks, so the other states keep theirs.
        return list(FailureState).index(self) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The reason for which one image has no output of one model version, and the message to retry it with."""

    key: OutputKey
    state: FailureState
    reason: str
    detail: str
    attempts: int
    """Attempts spent: the tries that were followed by a retry delay, without the last one."""
    last_at_ms: int
    message: bytes
    """The message body as it came, so that a replay needs no other source."""
    retry_at_ms: int = 0
    """The time until which the message waits on a retry delay; 0 unless the state is `retrying`."""

    def waits(self, *, now_ms: int, margin_ms: int) -> bool:
        """Return whether the message is still on its retry delay, by this record.

        A record from the future was written by a clock that was wrong, and shows nothing.
        """
        is_plausible = self.last_at_ms <= now_ms + margin_ms
        return self.state is FailureState.RETRYING and is_plausible and now_ms <= self.retry_at_ms + margin_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueImage:
    """The newest revision known of one image."""

    image_id: str
    revision: int
    image_uri: str
    event: str
    """`uploaded` or `deleted`."""
    occurred_at_ms: int
    """The time of the event, negative before 1970; 0 if it is not known."""
    located_at_ms: int = 0
    """The time at which the original was found at this URI after a move; 0 without one."""

    @property
    def deleted(self) -> bool:
        """Return whether the newest event deleted the image."""
        return self.event == "deleted"

    def supersedes(self, other: CatalogueImage) -> bool:
        """Return whether this row replaces the other.

        The highest revision wins, and a delete wins a tie; after that the later time, where an unknown
        one is before all others, then the later move, then the greater URI.
        """
        return self._order > other._order

    @property
    def _order(self) -> tuple[int, bool, float, int, bytes]:
        uri = self.image_uri.encode()
        return self.revision, self.deleted, age_rank(self.occurred_at_ms), self.located_at_ms, uri


_STORED_DTYPES: dict[str, np.dtype[np.floating[Any]]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
}


def quantise(vector: NDArray[Any], dtype: str) -> NDArray[np.floating[Any]]:
    """Convert a vector to its stored form: shape (D,), little-endian float16 or float32.

    Raises: Rejected(`not_finite`) if any element is NaN or infinite in that dtype.
    """
    with np.errstate(over="ignore"):
        stored = np.asarray(vector).astype(_STORED_DTYPES[dtype])
    if not np.isfinite(stored).all():
        raise Rejected("not_finite", "the model returned NaN or infinity")
    return stored


def encode_payload(output: Output) -> bytes:
    """Encode everything but the key as one MessagePack value, so that two runs of one key can never mix."""
    dtype = output.vector.dtype.name
    fields = {
        "vector": output.vector.astype(_STORED_DTYPES[dtype], copy=False).tobytes(),
        "dtype": dtype,
        "digest": output.digest,
        "engine": output.engine,
        "libraries": output.libraries,
        "source_sha256": output.source_sha256,
        "width_px": output.width_px,
        "height_px": output.height_px,
        "produced_at_ms": output.produced_at_ms,
    }
    packed: bytes = msgpack.packb(fields)
    return packed


def decode_payload(key: OutputKey, payload: bytes) -> Output:
    """Decode the result of `encode_payload`. The vector is read-only."""
    fields = msgpack.unpackb(payload)
    vector = np.frombuffer(fields.pop("vector"), dtype=np.dtype(fields.pop("dtype")).newbyteorder("<"))
    return Output(key=key, vector=vector, **fields)
