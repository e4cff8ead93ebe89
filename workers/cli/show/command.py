"""`panopticon show`: everything that is stored about one image, and why."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import click

from panopticon.depths import Depths, total
from panopticon.errors import Damaged, Unavailable, UsageError
from panopticon.messages import trimmed
from panopticon.results.outputs import VersionName
from workers.cli.formatting import counted
from workers.cli.session import Session, is_utf_8, json_option, pass_session
from workers.cli.show.image_report import ImageReport
from workers.cli.show.json_output import report_json
from workers.cli.show.text import print_report
from workers.inspection.explain import explain
from workers.inspection.image_status import pending_versions, statuses
from workers.inspection.original_file import original_file
from workers.registry.image_record import ImageRecord, read_image_records
from workers.registry.records import Registered, all_versions
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
    report = _report(session, _find(session, image))
    if as_json:
        session.print_json(report_json(report))
    else:
        print_report(session, report)


def _find(session: Session, image: str) -> ImageRecord:
    """Return the record of an image. Raises: UsageError if this is neither an ID nor the path of an image."""
    path = os.path.realpath(os.fsencode(image.replace("\0", "")))
    (listed,) = ids_of(session.store.folders, [path])
    # Lists have no spaces around IDs; an earlier release stored some.
    for image_id in filter(is_utf_8, dict.fromkeys((image, trimmed(image), listed))):
        (record,) = read_image_records([image_id], store=session.store, search=session.search)
        if not record.empty:
            return record
    raise UsageError(
        f"unknown image {image!r}: it is neither an image ID nor the path of a submitted image"
        + _not_indexed_yet(session)
    )


def _not_indexed_yet(session: Session) -> str:
    """Return a remark on uploads that no indexer has taken yet: the image may be among them."""
    try:
        waiting = total(session.broker.catalogue().depth())
    except (Unavailable, UsageError):
        return ""
    if not waiting:
        return ""
    return f"; {counted(waiting, 'upload')} may include it and wait for an indexer: panopticon indexer"


def _report(session: Session, record: ImageRecord) -> ImageReport:
    registered = all_versions(session.store.registry)
    revision = record.row.revision if record.row else None
    now_ms = int(time.time() * 1000)
    return ImageReport(
        record=record,
        registered=registered,
        explanations=[
            explain(output, registered, session.store.archive, revision=revision) for output in record.outputs
        ],
        statuses=statuses(
            record,
            registered,
            _depths(session, record, registered),
            now_ms=now_ms,
            running={process.version for process in session.store.heartbeats.alive(now_ms=now_ms)},
        ),
        original=original_file(record, session.store.folders),
        retry_delays=len(session.settings.retry_delays_s),
    )


def _depths(session: Session, record: ImageRecord, registered: Registered) -> Mapping[VersionName, Depths]:
    """Return the queue depths of the versions that are pending.

    They are empty while the broker is down: the rest of the report does not need it.
    """
    pending = pending_versions(record, registered)
    try:
        return {version: session.broker.model_queue(version).depth() for version in pending}
    except Damaged:
        raise
    except (Unavailable, UsageError):
        return {}
