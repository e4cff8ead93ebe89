"""What `panopticon show` tells, as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from panopticon.documents import SearchDocument
from panopticon.outputs import CatalogueImage, Output, VersionName
from workers.cli.failures import failure_json
from workers.cli.wording import rfc_3339
from workers.dossiers import Dossier

TOP = 5
"""Elements shown of a vector."""

Labels = dict[VersionName, tuple[str, ...]]


def dossier_json(dossier: Dossier, labels: Labels) -> dict[str, Any]:
    return {
        "image_id": dossier.image_id,
        "catalogue": _row_json(dossier.row) if dossier.row else None,
        "outputs": [_output_json(output, labels) for output in dossier.outputs],
        "failures": [failure_json(failure) for failure in dossier.failures],
        "search": _document_json(dossier.document) if dossier.document else None,
    }


def _row_json(row: CatalogueImage) -> dict[str, Any]:
    return {
        "revision": row.revision,
        "image_uri": row.image_uri,
        "event": row.event,
        "occurred_at": rfc_3339(row.occurred_at_ms),
    }


def _output_json(output: Output, labels: Labels) -> dict[str, Any]:
    return {
        "model": str(output.key.version_name),
        "revision": output.key.revision,
        "digest": output.digest,
        "engine": output.engine,
        "libraries": output.libraries,
        "source_sha256": output.source_sha256,
        "width_px": output.width_px,
        "height_px": output.height_px,
        "produced_at": rfc_3339(output.produced_at_ms),
        "dtype": output.vector.dtype.name,
        "elements": len(output.vector),
        "top": [{"name": name, "value": value} for name, value in top(output, labels)],
    }


def _document_json(document: SearchDocument) -> dict[str, Any]:
    return {
        "revision": document.revision,
        "deleted": document.deleted,
        "occurred_at": rfc_3339(document.occurred_at_ms),
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


def top(output: Output, labels: Labels) -> list[tuple[str, float]]:
    """The greatest elements, greatest first."""
    names = labels.get(output.key.version_name, ())
    order = np.argsort(-output.vector.astype(np.float64), kind="stable")[:TOP]
    return [
        (names[index] if index < len(names) else f"#{index}", float(output.vector[index])) for index in order
    ]
