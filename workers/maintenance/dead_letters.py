"""Choosing among the dead, and sending them back."""

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
from workers.registry.records import registered


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which failures are meant; what is left out does not narrow it."""

    version: VersionName | None = None
    day: str = ""
    """UTC, `2026-11-21`."""
    reason: str = ""
    image_ids: tuple[str, ...] = ()
    state: FailureState = FailureState.DEAD

    @property
    def everything(self) -> bool:
        return not (self.version or self.day or self.reason or self.image_ids)


def chosen(store: Store, choice: Choice) -> Iterator[Failure]:
    """The failures meant: by ID where IDs are given, else by version, newest day first."""
    failures = _by_id(store.outputs, choice) if choice.image_ids else _by_day(store, choice)
    return (failure for failure in failures if not choice.reason or failure.reason == choice.reason)


def versions_with_failures(store: Store) -> list[VersionName]:
    """Every registered version, and the name under which messages that were none are kept."""
    return [name for name, _ in registered(store)] + [NO_VERSION]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of the failures that were to be replayed."""

    replayed: int
    no_messages: int
    """Their body is no message, so no worker could take it."""
    no_queue: int
    """Their version is retired or unknown."""


def replay(failures: Sequence[Failure], *, store: Store, broker: Broker, lane: Lane) -> Replayed:
    """Each failure's own message goes to its version's queue, and then the failure is marked.

    A crash between the two makes a duplicate. The mark keeps the failure's time, so that a new death,
    which is later, is never overwritten by it. Raises: Unavailable.
    """
    open_versions = {name for name, entry in registered(store) if entry.state is not VersionState.RETIRED}
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
    """Mark them, so that they count as dead no more. Raises: Unavailable."""
    for chunk in chunks(failures, CHUNK):
        outputs.discard_failures([failure.key for failure in chunk])


def _by_id(outputs: OutputStore, choice: Choice) -> Iterator[Failure]:
    for chunk in chunks(choice.image_ids, CHUNK):
        for failure in outputs.failures_of(chunk):
            fits = choice.version in (None, failure.key.version_name) and failure.state is choice.state
            if fits and (not choice.day or day_of(failure) == choice.day):
                yield failure


def _by_day(store: Store, choice: Choice) -> Iterator[Failure]:
    for version in [choice.version] if choice.version else versions_with_failures(store):
        days = [choice.day] if choice.day else store.outputs.failure_days(version)
        for day in days:
            yield from store.outputs.failures(version, day=day, state=choice.state)


def day_of(failure: Failure) -> str:
    """The UTC day on which it last failed."""
    return datetime.fromtimestamp(failure.last_at_ms / 1000, UTC).date().isoformat()


def _is_message(failure: Failure) -> bool:
    try:
        decode_image_message(failure.message)
    except MessageInvalid:
        return False
    return failure.key.version_name != NO_VERSION
