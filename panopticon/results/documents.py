"""The search document and its merge rule, which does not depend on the order or repetition of changes."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from panopticon.messages import DeletedPublished, FailedPublished, ResultPublished, Tag, age_rank, to_ms
from panopticon.results.outputs import VersionName


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The result of one model version in a search document, after policy."""

    revision: int
    policy_number: int
    tags: tuple[Tag, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[int, int]:
        """The key by which parts are compared: the part with the higher rank wins."""
        return self.revision, self.policy_number


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchDocument:
    """The entry of one image in search. A tombstone is a document too: `deleted`, without parts."""

    image_id: str
    revision: int = -1
    """The highest revision seen; -1 before the first."""
    deleted: bool = False
    occurred_at_ms: int = 0
    """The latest event time received for this revision, negative before 1970; 0 if there is none."""
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Parts by `VersionName.part`."""


class ChangeKind(StrEnum):
    """The kind of a change, as in the `kind` of a published message."""

    RESULT = "result"
    FAILED = "failed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change in the history of a document."""

    kind: ChangeKind
    image_id: str
    revision: int
    occurred_at_ms: int = 0
    part_name: str = ""
    part: Part | None = None
    """The new part; None unless the change is a result."""


def change_of(message: ResultPublished | FailedPublished | DeletedPublished) -> Change:
    """Return the change that a published message asks for."""
    change = Change(
        kind=ChangeKind(message.kind),
        image_id=message.image_id,
        revision=message.revision,
        occurred_at_ms=to_ms(message.occurred_at),
    )
    if not isinstance(message, ResultPublished):
        return change
    part = Part(
        revision=message.revision,
        policy_number=message.policy_number,
        tags=message.tags,
        scores=message.scores,
    )
    version = VersionName(model=message.model, version=message.version)
    return replace(change, part_name=version.part, part=part)


def merge(document: SearchDocument, change: Change) -> SearchDocument:
    """Return the document after the change; an equal document if the change is stale.

    The merge is idempotent and ignores order: any permutation of a history, with repeats, gives one document.
    """
    if change.revision < document.revision:
        return document
    if change.revision > document.revision:
        document = SearchDocument(image_id=change.image_id, revision=change.revision)
    if change.kind is ChangeKind.DELETED:
        # Only deletes set a tombstone's time, so that it does not depend on results that came before them.
        occurred_at_ms = _latest_ms(change, document) if document.deleted else change.occurred_at_ms
        return replace(document, deleted=True, occurred_at_ms=occurred_at_ms, parts={})
    # A delete wins over every other change of its revision, whichever comes first.
    if document.deleted:
        return document
    return _with_part(replace(document, occurred_at_ms=_latest_ms(change, document)), change)


def fold_label(label: str) -> str:
    """Return the form in which labels are compared: NFKC, case folding, then NFKC again."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())


def encode_document(document: SearchDocument) -> bytes:
    """Encode as one UTF-8 JSON value. Raises: ValueError for NaN, infinity, or text with lone surrogates."""
    fields = {
        "image_id": document.image_id,
        "revision": document.revision,
        "deleted": document.deleted,
        "occurred_at_ms": document.occurred_at_ms,
        "parts": {
            name: {
                "revision": part.revision,
                "policy_number": part.policy_number,
                "tags": [tag.model_dump() for tag in part.tags],
                "scores": dict(part.scores),
            }
            for name, part in document.parts.items()
        },
    }
    return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode_document(body: bytes) -> SearchDocument:
    """Decode the result of `encode_document`."""
    fields = json.loads(body)
    parts = {
        name: Part(**{**part, "tags": tuple(Tag(**tag) for tag in part["tags"])})
        for name, part in fields.pop("parts").items()
    }
    return SearchDocument(parts=parts, **fields)


def _latest_ms(change: Change, document: SearchDocument) -> int:
    return max(change.occurred_at_ms, document.occurred_at_ms, key=age_rank)


def _with_part(document: SearchDocument, change: Change) -> SearchDocument:
    if change.part is None:
        return document
    present = document.parts.get(change.part_name)
    if present is not None and present.rank >= change.part.rank:
        return document
    return replace(document, parts={**document.parts, change.part_name: change.part})
