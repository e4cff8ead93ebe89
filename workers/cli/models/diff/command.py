"""`panopticon models diff`: compare two versions of a model before the new one is activated."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from panopticon.errors import UsageError
from panopticon.interfaces import ImageSource
from panopticon.messages import rfc_3339
from panopticon.models import parse_version
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from storage.originals import open_originals
from workers.cli.models.diff.html import write_page
from workers.cli.models.diff.text import report_shown
from workers.cli.session import Session, json_option, pass_session, read_ids
from workers.comparison.report import Report, Selection
from workers.comparison.sample import draw_sample
from workers.comparison.thumbnails import fetch_photos
from workers.comparison.versions import (
    VersionPair,
    keep_report,
    make_report,
    read_image_pairs,
    read_version_pair,
)
from workers.runtime.identity import who

SAMPLE = 1000


@click.command("models diff")
@click.argument("former", metavar="NAME@V")
@click.argument("version", metavar="NAME@W")
@click.option(
    "--sample",
    "size",
    type=click.IntRange(min=1, max=100_000),
    metavar="N",
    help=f"Number of images to compare, drawn from those in search [default: {SAMPLE:,}].",
)
@click.option(
    "--ids",
    "ids_file",
    metavar="FILE|-",
    help="File of the image IDs to compare, one per line; - is standard input [default: draw a sample].",
)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write an HTML page with the photos that differ most to this file.",
)
@json_option
@pass_session
def diff_command(
    session: Session,
    *,
    former: str,
    version: str,
    size: int | None,
    ids_file: str | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Compare two versions of a model on the same images, before NAME@W is activated. No model runs.

    The results of each version are made from its stored outputs by its present policy. The report is stored
    in the registry, where `activate` looks for it.
    """
    if size is not None and ids_file is not None:
        raise UsageError("--sample draws the images and --ids names them; use only one of them")
    # A page that could not be written or have photos is refused before the long comparison.
    source = _source_of_photos(session, page) if page is not None else None
    versions = read_version_pair(
        session.store, parse_version(former), parse_version(version), session.settings
    )
    selection = (
        Selection(image_ids=read_ids(ids_file), drawn_from=None)
        if ids_file is not None
        else _drawn(session, versions.former.name, size or SAMPLE)
    )
    report = _compare(session, versions, selection)
    if page is not None and source is not None:
        image_ids = [difference.image_id for difference in report.worst]
        photos = fetch_photos(source, session.store.catalogue, session.settings, image_ids)
        write_page(page, report, photos, versions.limits)
        session.err.print(f"Page written to {page.absolute().as_uri()}", style="dim")
    if as_json:
        session.print_json(report_json(report))
    else:
        session.out.print(report_shown(report, versions.limits))


def report_json(report: Report) -> dict[str, Any]:
    """Return what `--json` prints; keys are stable."""
    fields = report.as_json()
    del fields["at_ms"]
    return {
        "at": rfc_3339(report.author.at_ms),
        **fields,
        "report_sha256": report.record.report_sha256,
    }


def _compare(session: Session, versions: VersionPair, selection: Selection) -> Report:
    """Compare the images and store the report. Raises: Unavailable."""
    with click.progressbar(length=len(selection.image_ids), label="Comparing", file=sys.stderr) as bar:
        pairs = read_image_pairs(session.store, versions, selection.image_ids, progress=bar.update)
    author = Author(by=who(), at_ms=int(time.time() * 1000))
    report = make_report(
        versions, selection, pairs, search=session.search, broker=session.broker, author=author
    )
    keep_report(session.store, versions.former.name.model, report, author)
    return report


def _drawn(session: Session, former: VersionName, size: int) -> Selection:
    """Draw a sample from search. Raises: UsageError if search holds nothing of the former version."""
    sample = draw_sample(session.search, former.part, size)
    if not sample.image_ids:
        raise UsageError(
            f"no image with {former} is in search, so there is nothing to draw; name some with --ids"
        )
    return Selection(image_ids=sample.image_ids, drawn_from=sample.drawn_from, drawn_from_all=sample.complete)


def _source_of_photos(session: Session, page: Path) -> ImageSource:
    """Return the source of originals. Raises: UsageError if the page cannot be written, or have no photos."""
    folder = page.parent
    if not (folder.is_dir() and os.access(page if page.exists() else folder, os.W_OK)):
        raise UsageError(f"cannot write {page}: name a file in an existing folder that you may write to")
    return open_originals(session.settings)
