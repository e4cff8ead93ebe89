"""`panopticon show`: everything that is kept of one image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from rich.text import Text

from panopticon.documents import SearchDocument
from panopticon.errors import UsageError
from panopticon.outputs import CatalogueImage, Failure, Output, VersionName
from workers.cli.session import Session, json_option, pass_session
from workers.cli.wording import block, place, rfc_3339, utc, without_queries
from workers.scanning import image_id_of, printable
from workers.standing import registered

TOP = 5
"""Elements shown of a vector."""

Labels = dict[VersionName, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """What the four rooms know of one ID."""

    image_id: str
    row: CatalogueImage | None
    outputs: Sequence[Output]
    failures: Sequence[Failure]
    document: SearchDocument | None

    @property
    def empty(self) -> bool:
        return not (self.row or self.outputs or self.failures or self.document)


@click.command("show")
@click.argument("image", metavar="IMAGE_ID|PATH")
@json_option
@pass_session
def show_command(session: Session, *, image: str, as_json: bool) -> None:
    """Everything kept of one image: catalogue row, outputs, failures, and what search has."""
    dossier = _find(session, image)
    labels = {name: entry.labels for name, entry in registered(session.store)}
    if as_json:
        session.print_json(_dossier_json(dossier, labels))
    else:
        _print(session, dossier, labels)


def _find(session: Session, image: str) -> Dossier:
    """Raises: UsageError if it is neither an ID nor the path of an image."""
    for image_id in (image, image_id_of(os.fsencode(image.replace("\0", "")))):
        if _is_text(image_id) and not (dossier := _dossier(session, image_id)).empty:
            return dossier
    raise UsageError(f"unknown image {image!r}: no image ID, and no path of an image that was submitted")


def _is_text(image_id: str) -> bool:
    """Whether it can be an ID: a path in other bytes than UTF-8 cannot."""
    return image_id.encode("utf-8", "replace").decode() == image_id


def _dossier(session: Session, image_id: str) -> Dossier:
    store = session.store
    return Dossier(
        image_id=image_id,
        row=store.catalogue.get([image_id]).get(image_id),
        outputs=store.outputs.versions_of(image_id),
        failures=store.outputs.failures_of([image_id]),
        document=session.search.get([image_id]).get(image_id),
    )


def _top(output: Output, labels: Labels) -> list[tuple[str, float]]:
    """The greatest elements, greatest first."""
    names = labels.get(_version_of(output), ())
    order = np.argsort(-output.vector.astype(np.float64), kind="stable")[:TOP]
    return [
        (names[index] if index < len(names) else f"#{index}", float(output.vector[index])) for index in order
    ]


def _version_of(kept: Output | Failure) -> VersionName:
    return VersionName(model=kept.key.model, version=kept.key.version)


def _dossier_json(dossier: Dossier, labels: Labels) -> dict[str, Any]:
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
        "model": str(_version_of(output)),
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
        "top": [{"name": name, "value": value} for name, value in _top(output, labels)],
    }


def failure_json(failure: Failure) -> dict[str, Any]:
    """One failure, its message as text; bytes that are no UTF-8 are escaped."""
    return {
        "image_id": failure.key.image_id,
        "model": str(_version_of(failure)),
        "revision": failure.key.revision,
        "state": failure.state.value,
        "reason": failure.reason,
        "detail": failure.detail,
        "attempts": failure.attempts,
        "last_at": rfc_3339(failure.last_at_ms),
        "message": failure.message.decode("utf-8", "backslashreplace"),
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


def _print(session: Session, dossier: Dossier, labels: Labels) -> None:
    session.out.print(Text(dossier.image_id, style="bold"))
    _print_row(session, dossier.row)
    for output in dossier.outputs:
        _print_output(session, output, labels)
    for failure in dossier.failures:
        print_failure(session, failure)
    _print_document(session, dossier.document)


def _print_row(session: Session, row: CatalogueImage | None) -> None:
    if row is None:
        _print_block(session, "catalogue", [("nothing", "not known there yet")])
        return
    _print_block(
        session,
        "catalogue",
        [
            ("where", place(row.image_uri) or "–"),
            ("revision", f"{row.revision}, {row.event} {utc(row.occurred_at_ms)} UTC"),
        ],
    )


def _print_output(session: Session, output: Output, labels: Labels) -> None:
    _print_block(
        session,
        f"{_version_of(output)} · stored · revision {output.key.revision}",
        [
            ("says", " · ".join(f"{name} {value:.3g}" for name, value in _top(output, labels))),
            ("vector", f"{len(output.vector):,} × {output.vector.dtype.name}"),
            ("picture", f"{output.width_px} × {output.height_px} px"),
            ("sha256", output.source_sha256),
            ("made by", f"{output.engine}, {output.libraries}"),
            ("digest", output.digest),
            ("when", f"{utc(output.produced_at_ms)} UTC"),
        ],
        style="green",
    )


def print_failure(session: Session, failure: Failure, *, with_message: bool = False) -> None:
    """One failure as a block."""
    lines = [
        ("reason", printable(": ".join(filter(None, (failure.reason, failure.detail))))),
        ("attempts", f"{failure.attempts} on retry rungs, last {utc(failure.last_at_ms)} UTC"),
    ]
    if with_message:
        message = without_queries(failure.message.decode("utf-8", "backslashreplace"))
        lines.append(("message", printable(message)))
    heading = f"{_version_of(failure)} · {failure.state.value} · revision {failure.key.revision}"
    _print_block(session, heading, lines, style="red" if failure.state.value == "dead" else "dim")


def _print_document(session: Session, document: SearchDocument | None) -> None:
    if document is None:
        _print_block(session, "search", [("nothing", "no document of it")])
        return
    heading = f"search · revision {document.revision}" + (" · deleted" if document.deleted else "")
    _print_block(
        session,
        heading,
        [
            (name, f"revision {part.revision}, policy {part.policy_number}: {_said(part.tags, part.scores)}")
            for name, part in sorted(document.parts.items())
        ],
    )


def _said(tags: Sequence[Any], scores: Any) -> str:
    words = [f"{tag.label} {tag.probability:.2f}" for tag in tags]
    words += [f"{name} {value:.3g}" for name, value in sorted(scores.items())]
    return " · ".join(words) or "nothing above its thresholds"


def _print_block(session: Session, heading: str, lines: list[tuple[str, str]], style: str = "bold") -> None:
    session.out.print()
    session.out.print(Text(heading, style=style))
    session.out.print(block(lines))
