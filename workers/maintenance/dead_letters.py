"""Selecting failures, and replaying or discarding them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import Broker, OutputStore, Store
from panopticon.messages import Lane, MessageInvalid, decode_image_message
from panopticon.registry.records import VersionState
from panopticon.results.outputs import Failure, FailureState, VersionName
from panopticon.results.undeliverable import NO_VERSION
from workers.registry.records import all_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A selection of failures; a field that is empty selects all."""

    version: VersionName | None = None
    day: str = ""
    """The UTC day of the last failure, such as `2026-11-21`."""
    reason: str = ""
    image_ids: tuple[str, ...] = ()
    state: FailureState = FailureState.DEAD

    @property
    def everything(self) -> bool:
        """True if no field but the state narrows the selection."""
        return not (self.version or self.day or self.reason or self.image_ids)


def chosen(store: Store, choice: Choice) -> Iterator[Failure]:
    """Yield the selected failures: by ID if IDs are given, else by version, newest day first.

    Raises: Unavailable.
    """
    failures = _by_id(store.outputs, choice) if choice.image_ids else _by_day(store, choice)
    return (failure for failure in failures if not choice.reason or failure.reason == choice.reason)


def versions_with_failures(store: Store) -> list[VersionName]:
    """Return every registered version, and the name under which failures without a version are kept."""
    return [*all_versions(store.registry), NO_VERSION]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The result of a replay, in numbers of failures."""

    replayed: int
    no_messages: int
    """Their body is not a message, so that no worker could take it."""
    no_queue: int
    """Their version is retired or unknown."""


def replay(failures: Sequence[Failure], *, store: Store, broker: Broker, lane: Lane) -> Replayed:
    """Submit each failure's own message to its version's queue, then mark the failure as replayed.

    A crash between the two submits a message twice. The mark keeps the failure's time, so that it never
    overwrites a new failure of the image, which is later. Raises: Unavailable.
    """
    open_versions = {
        name
        for name, (_, entry) in all_versions(store.registry).items()
        if entry.state is not VersionState.RETIRED
    }
    readable = [failure for failure in failures if _is_message(failure)]
    taken = [failure for failure in readable if failure.key.version_name in open_versions]
    for version in sorted({failure.key.version_name for failure in taken}):
        queue = broker.model_queue(version)
        for chunk in chunks((failure for failure in taken if failure.key.version_name == version), CHUNK):
            queue.submit([failure.message for failure in chunk], lane)
            store.outputs.put_failures([replace(f, state=FailureState.REPLAYED) for f in chunk])
    return Replayed(
        replayed=len(taken),
        no_messages=len(failures) - len(readable),
        no_queue=len(readable) - len(taken),
    )


def discard(failures: Sequence[Failure], outputs: OutputStore) -> None:
    """Mark failures as discarded, so that their images count as skipped. Raises: Unavailable."""
    for chunk in chunks(failures, CHUNK):
        outputs.discard_failures([failure.key for failure in chunk])


def _day_of(failure: Failure) -> str:
    """Return the UTC day on which an image last failed, such as `2026-11-21`."""
    return datetime.fromtimestamp(failure.last_at_ms / 1000, UTC).date().isoformat()


def _by_id(outputs: OutputStore, choice: Choice) -> Iterator[Failure]:
    for chunk in chunks(choice.image_ids, CHUNK):
        for failure in outputs.failures_of(chunk):
            fits = choice.version in (None, failure.key.version_name) and failure.state is choice.state
            if fits and (not choice.day or _day_of(failure) == choice.day):
                yield failure


def _by_day(store: Store, choice: Choice) -> Iterator[Failure]:
    for version in [choice.version] if choice.version else versions_with_failures(store):
        days = [choice.day] if choice.day else store.outputs.failure_days(version)
        for day in days:
            yield from store.outputs.failures(version, day=day, state=choice.state)


def _is_message(failure: Failure) -> bool:
    try:
        decode_image_message(failure.message)
    except MessageInvalid:
        return False
    return failure.key.version_name != NO_VERSION
