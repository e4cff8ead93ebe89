"""`panopticon show`: everything that is stored about one image, and why."""

from __future__ import annotations

import os
import time

import click

from panopticon.errors import UsageError
from panopticon.messages import trimmed
from workers.cli.formatting import counted
from workers.cli.session import Session, is_utf_8, json_option, pass_session
from workers.cli.show.text import print_report
from workers.inspection.image_json import report_json
from workers.inspection.image_report import find_record, read_report, uploads_waiting
from workers.registry.image_record import ImageRecord
from workers.submission.folder_history import ids_of


@click.command("show")
@click.argument("image", metavar="IMAGE_ID|PATH")
@json_option
@pass_session
def show_command(session: Session, *, image: str, as_json: bool) -> None:
    """Show everything stored about one image, and why.

    That is its status with each model version, the outputs, the tags that policy kept and dropped, the
    failures, and the search document.
    """
    report = read_report(
        _find(session, image),
        store=session.store,
        broker=lambda: session.broker,
        retry_delays=len(session.settings.retry_delays_s),
        now_ms=int(time.time() * 1000),
    )
    if as_json:
        session.print_json(report_json(report))
    else:
        print_report(session, report)


def _find(session: Session, image: str) -> ImageRecord:
    """Return the record of an image. Raises: UsageError if this is neither an ID nor the path of an image."""
    path = os.path.realpath(os.fsencode(image.replace("\0", "")))
    (listed,) = ids_of(session.store.folders, [path])
    # Lists have no spaces around IDs; an earlier release stored some.
    image_ids = filter(is_utf_8, dict.fromkeys((image, trimmed(image), listed)))
    record = find_record(image_ids, store=session.store, search=session.search)
    if record is not None:
        return record
    waiting = uploads_waiting(lambda: session.broker)
    remark = f"; {counted(waiting, 'upload')} may include it and wait for an indexer: panopticon indexer"
    raise UsageError(
        f"unknown image {image!r}: it is neither an image ID nor the path of a submitted image"
        + (remark if waiting else "")
    )
