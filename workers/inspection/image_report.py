"""Everything that is shown of one image: what is stored about it, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from panopticon.depths import Depths, total
from panopticon.errors import Damaged, Unavailable, UsageError
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.results.outputs import VersionName
from workers.inspection.explain import Explanation, explain
from workers.inspection.image_status import ImageStatus, pending_versions, statuses
from workers.inspection.original_file import OriginalFile, original_file
from workers.registry.image_record import ImageRecord, read_image_records
from workers.registry.records import Registered, all_versions

OpenBroker = Callable[[], Broker]
"""Returns the broker, which it opens at first use. Raises: UsageError, Unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    """One image, everything stored about it, and the explanation of each."""

    record: ImageRecord
    registered: Registered
    explanations: Sequence[Explanation]
    """The explanation of each output, in the order of the record's outputs."""
    statuses: Sequence[ImageStatus]
    original: OriginalFile | None
    """The file of the original; None if it is not a file."""
    retry_delays: int
    """Number of retries that an image gets by the settings of this machine."""


def find_record(image_ids: Iterable[str], *, store: Store, search: SearchIndex) -> ImageRecord | None:
    """Return the record of the first of these IDs under which there is anything; None if there is none.

    Raises: Unavailable.
    """
    for image_id in image_ids:
        (record,) = read_image_records([image_id], store=store, search=search)
        if not record.empty:
            return record
    return None


def uploads_waiting(broker: OpenBroker) -> int:
    """Return the number of uploads that no indexer has taken yet, 0 while the broker is down.

    An image that nothing knows may be among them.
    """
    try:
        return total(broker().catalogue().depth())
    except (Unavailable, UsageError):
        return 0


def read_report(
    record: ImageRecord, *, store: Store, broker: OpenBroker, retry_delays: int, now_ms: int
) -> ImageReport:
    """Return what there is to show of an image. Raises: Unavailable.

    `retry_delays`: the number of them in the settings. `now_ms`: milliseconds since 1970, UTC.
    """
    registered = all_versions(store.registry)
    revision = record.row.revision if record.row else None
    return ImageReport(
        record=record,
        registered=registered,
        explanations=[
            explain(output, registered, store.archive, revision=revision) for output in record.outputs
        ],
        statuses=statuses(
            record,
            registered,
            _depths(broker, pending_versions(record, registered)),
            now_ms=now_ms,
            running={process.version for process in store.heartbeats.alive(now_ms=now_ms)},
        ),
        original=original_file(record, store.folders),
        retry_delays=retry_delays,
    )


def _depths(broker: OpenBroker, versions: Sequence[VersionName]) -> Mapping[VersionName, Depths]:
    """Return the queue depths of versions.

    They are empty while the broker is down: the rest of the report does not need it.
    """
    try:
        return {version: broker().model_queue(version).depth() for version in versions}
    except Damaged:
        raise
    except (Unavailable, UsageError):
        return {}
