"""`panopticon models diff`: what would change if one version answered in the place of another."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from panopticon.errors import UsageError
from panopticon.interfaces import ImageSource
from panopticon.models import parse_version
from panopticon.registry.transitions import Author
from storage.originals import open_originals
from workers.cli.formatting import rfc_3339
from workers.cli.models.diff.html import write_page
from workers.cli.models.diff.text import report_shown
from workers.cli.session import Session, json_option, pass_session, read_ids
from workers.comparison.sample import draw_sample
from workers.comparison.thumbnails import fetch_photos
from workers.comparison.versions import (
    Report,
    Selection,
    VersionPair,
    find_sides,
    keep_report,
    make_report,
    read_pairs,
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
    help=f"Compare so many images, drawn from those in search [default: {SAMPLE:,}].",
)
@click.option("--ids", "ids_file", metavar="FILE|-", help="Compare these images, one ID a line.")
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page with the photos that differ most; it needs nothing beside it.",
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

    Both say what they say by their present policies. The report is kept in the registry, where `activate`
    looks for it.
    """
    if size is not None and ids_file is not None:
        raise UsageError("--sample draws the images and --ids names them; give one of the two")
    source = _source_of_photos(session, page) if page is not None else None
    sides = find_sides(session.store, parse_version(former), parse_version(version), session.settings)
    asked = (
        Selection(image_ids=read_ids(ids_file), drawn_from=None)
        if ids_file is not None
        else _drawn(session, sides, size or SAMPLE)
    )
    report = _compare(session, sides, asked)
    if page is not None and source is not None:
        _write(session, source, sides, report, page)
    if as_json:
        session.print_json(report_json(report))
    else:
        session.out.print(report_shown(report, sides.limits))


def report_json(report: Report) -> dict[str, Any]:
    """What `--json` prints; keys are stable."""
    whole = {key: value for key, value in report.whole.items() if key != "at_ms"}
    return {
        "at": rfc_3339(report.record.at_ms),
        **whole,
        "report_sha256": report.record.report_sha256,
    }


def _compare(session: Session, sides: VersionPair, asked: Selection) -> Report:
    """Made and kept."""
    with click.progressbar(length=len(asked.image_ids), label="Comparing", file=sys.stderr) as bar:
        pairs = read_pairs(session.store, sides, asked.image_ids, progress=bar.update)
    author = Author(by=who(), at_ms=int(time.time() * 1000))
    report = make_report(sides, asked, pairs, search=session.search, broker=session.broker, author=author)
    keep_report(session.store, sides.former.name.model, report, author)
    return report


def _drawn(session: Session, sides: VersionPair, size: int) -> Selection:
    """Raises: UsageError if nothing of the former version is in search."""
    name = sides.former.name
    sample = draw_sample(session.search, name.part, size)
    if not sample.image_ids:
        raise UsageError(
            f"no image with {name} is in search, so there is nothing to draw; name some with --ids"
        )
    return Selection(image_ids=sample.image_ids, drawn_from=sample.drawn_from, whole=sample.complete)


def _source_of_photos(session: Session, page: Path) -> ImageSource:
    """Before anything is compared. Raises: UsageError if the page could not be written, or have no photos."""
    folder = page.parent
    if not (folder.is_dir() and os.access(page if page.exists() else folder, os.W_OK)):
        raise UsageError(f"cannot write {page}: name a file in a folder that is there and may be written to")
    return open_originals(session.settings)


def _write(session: Session, source: ImageSource, sides: VersionPair, report: Report, page: Path) -> None:
    image_ids = [worst["image_id"] for worst in report.whole["worst"]]
    photos = fetch_photos(source, session.store.catalogue, session.settings, image_ids)
    write_page(page, report, photos, sides.limits)
    session.err.print(f"The page is {page.absolute().as_uri()}", style="dim")
