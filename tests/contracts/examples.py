"""The values that the contract suites store and send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from panopticon.messages import Tag
from panopticon.results.documents import Change, ChangeKind, Part
from panopticon.results.outputs import CatalogueImage, Failure, FailureState, Output, OutputKey, VersionName

TAGGER = VersionName(model="tagger", version=1)
TAGGER_2 = VersionName(model="tagger", version=2)
QUALITY = VersionName(model="quality", version=1)

A_DAY_MS = 86_400_000
NOON_MS = 1_795_262_400_000
"""The moment 2026-11-21 12:00 UTC in milliseconds."""


def key(image_id: str = "photo", *, version: VersionName = TAGGER, revision: int = 0) -> OutputKey:
    return OutputKey(image_id=image_id, model=version.model, version=version.version, revision=revision)


def output(of: OutputKey, *, fill: float = 0.5, produced_at_ms: int = NOON_MS) -> Output:
    return Output(
        key=of,
        vector=np.full(4, fill, dtype="<f2"),
        digest="d1",
        engine="null",
        libraries="null 1",
        source_sha256="5" * 64,
        width_px=640,
        height_px=480,
        produced_at_ms=produced_at_ms,
    )


def failure(
    of: OutputKey,
    *,
    state: FailureState = FailureState.DEAD,
    reason: str = "corrupt",
    last_at_ms: int = NOON_MS,
) -> Failure:
    return Failure(
        key=of,
        state=state,
        reason=reason,
        detail="the file ends early",
        attempts=2,
        last_at_ms=last_at_ms,
        message=b'{"image_id": "\xff\x00"}',
    )


def retrying(of: OutputKey, *, last_at_ms: int = NOON_MS, delay_s: float = 3600) -> Failure:
    """Return the record of a retry delay that begins at `last_at_ms`."""
    record = failure(of, state=FailureState.RETRYING, reason="io_error", last_at_ms=last_at_ms)
    return replace(record, retry_at_ms=last_at_ms + round(delay_s * 1000))


def image(image_id: str = "photo", *, revision: int = 0, event: str = "uploaded") -> CatalogueImage:
    return CatalogueImage(
        image_id=image_id,
        revision=revision,
        image_uri=f"file:///photos/{image_id}",
        event=event,
        occurred_at_ms=NOON_MS,
    )


def tag(label: str, probability: float = 0.5) -> Tag:
    return Tag(label=label, probability=probability, ancestors=("animal",))


def part(
    *, revision: int = 0, policy_number: int = 1, scores: Mapping[str, float] | None = None, **tags: float
) -> Part:
    """Return a part with one tag for each argument; every tag has the ancestor `animal`."""
    made = tuple(tag(label, probability) for label, probability in tags.items())
    return Part(revision=revision, policy_number=policy_number, tags=made, scores=scores or {})


def result(image_id: str, of: Part, *, name: str = "tagger_1", occurred_at_ms: int = NOON_MS) -> Change:
    return Change(
        kind=ChangeKind.RESULT,
        image_id=image_id,
        revision=of.revision,
        occurred_at_ms=occurred_at_ms,
        part_name=name,
        part=of,
    )


def deletion(image_id: str, *, revision: int = 0) -> Change:
    return Change(kind=ChangeKind.DELETED, image_id=image_id, revision=revision, occurred_at_ms=NOON_MS)
