"""`panopticon show`: everything that is kept of one image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from panopticon.documents import SearchDocument
from panopticon.errors import UsageError
from panopticon.outputs import CatalogueImage, Output
from workers.cli.failures import print_failure
from workers.cli.session import Session, json_option, pass_session
from workers.cli.show_json import Labels, dossier_json, top
from workers.cli.wording import headed, place, utc
from workers.dossiers import Dossier, read_dossier
from workers.scanning import image_id_of
from workers.standing import registered


@click.command("show")
@click.argument("image", metavar="IMAGE_ID|PATH")
@json_option
@pass_session
def show_command(session: Session, *, image: str, as_json: bool) -> None:
    """Everything kept of one image: catalogue row, outputs, failures, and what search has."""
    dossier = _find(session, image)
    labels = {name: entry.labels for name, entry in registered(session.store)}
    if as_json:
        session.print_json(dossier_json(dossier, labels))
    else:
        _print(session, dossier, labels)


def _find(session: Session, image: str) -> Dossier:
    """Raises: UsageError if it is neither an ID nor the path of an image."""
    for image_id in (image, image_id_of(os.fsencode(image.replace("\0", "")))):
        if _is_text(image_id) and not (dossier := _read(session, image_id)).empty:
            return dossier
    raise UsageError(f"unknown image {image!r}: no image ID, and no path of an image that was submitted")


def _read(session: Session, image_id: str) -> Dossier:
    return read_dossier(image_id, store=session.store, search=session.search)


def _is_text(image_id: str) -> bool:
    """Whether it can be an ID: a path in other bytes than UTF-8 cannot."""
    return image_id.encode("utf-8", "replace").decode() == image_id


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
        session.out.print(headed("catalogue", [("nothing", "not known there yet")]))
        return
    session.out.print(
        headed(
            "catalogue",
            [
                ("where", place(row.image_uri) or "–"),
                ("revision", f"{row.revision}, {row.event} {utc(row.occurred_at_ms)} UTC"),
            ],
        )
    )


def _print_output(session: Session, output: Output, labels: Labels) -> None:
    session.out.print(
        headed(
            f"{output.key.version_name} · stored · revision {output.key.revision}",
            [
                ("says", " · ".join(f"{name} {value:.3g}" for name, value in top(output, labels))),
                ("vector", f"{len(output.vector):,} × {output.vector.dtype.name}"),
                ("picture", f"{output.width_px} × {output.height_px} px"),
                ("sha256", output.source_sha256),
                ("made by", f"{output.engine}, {output.libraries}"),
                ("digest", output.digest),
                ("when", f"{utc(output.produced_at_ms)} UTC"),
            ],
            style="green",
        )
    )


def _print_document(session: Session, document: SearchDocument | None) -> None:
    if document is None:
        session.out.print(headed("search", [("nothing", "no document of it")]))
        return
    heading = f"search · revision {document.revision}" + (" · deleted" if document.deleted else "")
    session.out.print(
        headed(
            heading,
            [
                (
                    name,
                    f"revision {part.revision}, policy {part.policy_number}: {_said(part.tags, part.scores)}",
                )
                for name, part in sorted(document.parts.items())
            ],
        )
    )


def _said(tags: Sequence[Any], scores: Any) -> str:
    words = [f"{tag.label} {tag.probability:.2f}" for tag in tags]
    words += [f"{name} {value:.3g}" for name, value in sorted(scores.items())]
    return " · ".join(words) or "nothing above its thresholds"
