"""Documents and their changes, encoded for OpenSearch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from panopticon.messages import Tag
from panopticon.results.documents import Change, Part, SearchDocument, fold_label

MAX_ID_BYTES = 512


def encode_change(change: Change, *, script: str) -> str:
    """Return one line of JSON that lets the merge script apply this change.

    Raises: ValueError or OverflowError for what JSON or the server cannot store: NaN, infinity, text that is
    not Unicode, a time beyond 64 bits, and an ID of more than 512 bytes, which fails a whole request.
    """
    if not -(2**63) <= change.occurred_at_ms < 2**63:
        raise OverflowError(change.occurred_at_ms)
    if not 0 < len(change.image_id.encode()) <= MAX_ID_BYTES:
        raise ValueError(change.image_id)
    update = {
        "script": {"id": script, "params": _params(change)},
        "scripted_upsert": True,
        "upsert": {},
    }
    line = _json(update)
    line.encode()
    return line


def encode_target(image_id: str, alias: str, *, conflicts: int) -> str:
    """Return the line before a change, which names index and document.

    `conflicts`: retries by the server when another client changes the document at the same moment.
    """
    return _json({"update": {"_index": alias, "_id": image_id, "retry_on_conflict": conflicts}})


def decode_source(source: Mapping[str, Any]) -> SearchDocument:
    """Return the document with this `_source`."""
    parts = {
        part["name"]: Part(
            revision=part["revision"],
            policy_number=part["policy_number"],
            tags=tuple(
                Tag(label=tag["label"], probability=tag["probability"], ancestors=tuple(tag["ancestors"]))
                for tag in source["tags"]
                if tag["part"] == part["name"]
            ),
            scores={
                score["name"]: score["value"] for score in source["scores"] if score["part"] == part["name"]
            },
        )
        for part in source["parts"]
    }
    return SearchDocument(
        image_id=source["image_id"],
        revision=source["revision"],
        deleted=source["deleted"],
        occurred_at_ms=source["occurred_at_ms"],
        parts=parts,
    )


def _params(change: Change) -> dict[str, Any]:
    params = {
        "kind": change.kind.value,
        "image_id": change.image_id,
        "revision": change.revision,
        "occurred_at_ms": change.occurred_at_ms,
    }
    # Only a result has a part.
    if change.part is None:
        return params
    name, part = change.part_name, change.part
    return {
        **params,
        "part": {"name": name, "revision": part.revision, "policy_number": part.policy_number},
        "tags": [_tag_fields(name, tag) for tag in part.tags],
        "scores": [
            {"part": name, "name": score, "value": float(value)} for score, value in part.scores.items()
        ],
    }


def _tag_fields(part_name: str, tag: Tag) -> dict[str, Any]:
    # `names` holds the labels by which a query finds the document.
    return {
        "part": part_name,
        "label": tag.label,
        "ancestors": tag.ancestors,
        "names": sorted({fold_label(name) for name in (tag.label, *tag.ancestors)}),
        "probability": float(tag.probability),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
