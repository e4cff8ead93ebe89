"""Comparing the reference consumer's index with ours: both as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from panopticon.interfaces import Registry
from panopticon.messages import to_ms
from panopticon.registry.records import ModelEntry
from panopticon.results.documents import SearchDocument
from tests.reference_consumer import Document, ReferenceConsumer

Plain = dict[str, Any]


def plain_index(documents: Iterable[SearchDocument]) -> dict[str, Plain]:
    """Return our documents by image ID; those that have no message yet are left out."""
    return {document.image_id: _plain_ours(document) for document in documents}


def plain_following(consumer: ReferenceConsumer) -> dict[str, Plain]:
    """Return the consumer's documents by image ID."""
    return {image_id: _plain_theirs(document) for image_id, document in consumer.documents.items()}


def active_in(registry: Registry) -> set[str]:
    """Return the active version of every model, such as `tagger@1`."""
    entries: list[ModelEntry | None] = [registry.read(model) for model in registry.models()]
    return {str(entry.active) for entry in entries if entry is not None and entry.active is not None}


def _plain_ours(document: SearchDocument) -> Plain:
    parts = {
        "@".join(name.rsplit("_", 1)): {
            "policy_number": part.policy_number,
            "tags": [tag.model_dump(mode="json") for tag in part.tags],
            "scores": dict(part.scores),
        }
        for name, part in document.parts.items()
    }
    return _plain(document.revision, document.occurred_at_ms, parts, deleted=document.deleted)


def _plain_theirs(document: Document) -> Plain:
    at = datetime.fromisoformat(document.occurred_at) if document.occurred_at else None
    return _plain(document.revision, to_ms(at), document.parts, deleted=document.deleted)


def _plain(revision: int, at_ms: int, parts: Plain, *, deleted: bool) -> Plain:
    return {"revision": revision, "deleted": deleted, "occurred_at_ms": at_ms, "parts": parts}
