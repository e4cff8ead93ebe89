"""`panopticon show`: everything that is kept of one image, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

from panopticon.depths import Depths
from panopticon.errors import Unavailable, UsageError
from panopticon.results.outputs import VersionName
from workers.cli.session import Session, json_option, pass_session
from workers.cli.show.facts import Shown
from workers.cli.show.json_output import shown_json
from workers.cli.show.text import print_shown
from workers.inspection.explain import explain
from workers.inspection.image_status import pending_versions, statuses
from workers.registry.image_record import ImageRecord, read_image_records
from workers.registry.records import Registered, all_versions
from workers.submission.folders import image_id_of


@click.command("show")
@click.argument("image", metavar="IMAGE_ID|PATH")
@json_option
@pass_session
def show_command(session: Session, *, image: str, as_json: bool) -> None:
    """Everything kept of one image, and why: where it stands with each model version, what each said and
    what policy made of it, what failed, and what search has."""
    shown = _shown(session, _find(session, image))
    if as_json:
        session.print_json(shown_json(shown))
    else:
        print_shown(session, shown)


def _find(session: Session, image: str) -> ImageRecord:
    """Raises: UsageError if it is neither an ID nor the path of an image."""
    for image_id in (image, image_id_of(os.fsencode(image.replace("\0", "")))):
        if _is_text(image_id) and not (record := _read(session, image_id)).empty:
            return record
    raise UsageError(f"unknown image {image!r}: no image ID, and no path of an image that was submitted")


def _read(session: Session, image_id: str) -> ImageRecord:
    return read_image_records([image_id], store=session.store, search=session.search)[0]


def _is_text(image_id: str) -> bool:
    """Whether it can be an ID: a path in other bytes than UTF-8 cannot."""
    return image_id.encode("utf-8", "replace").decode() == image_id


def _shown(session: Session, record: ImageRecord) -> Shown:
    registered = all_versions(session.store.registry)
    revision = record.row.revision if record.row else None
    return Shown(
        record=record,
        registered=registered,
        explanations=[
            explain(output, registered, session.store.archive, revision=revision) for output in record.outputs
        ],
        statuses=statuses(record, registered, _depths(session, record, registered)),
        retry_delays=len(session.settings.retry_delays_s),
    )


def _depths(session: Session, record: ImageRecord, registered: Registered) -> Mapping[VersionName, Depths]:
    """Of pending versions only; what the queues would add is not worth losing the rest of the answer."""
    pending = pending_versions(record, registered)
    try:
        return {version: session.broker.model_queue(version).depth() for version in pending}
    except (Unavailable, UsageError):
        return {}
