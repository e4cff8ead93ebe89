"""Shuffled and repeated messages: only here do two indexers at once reach the state of the sorted history.

The merge rule alone is in tests/panopticon/results/test_documents.py.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path

import pytest

from panopticon.interfaces import Broker
from panopticon.messages import (
    DeletedPublished,
    FailedPublished,
    ImageMessage,
    Lane,
    ResultPublished,
    Tag,
    encode,
    to_ms,
)
from panopticon.results.documents import Change, ChangeKind, SearchDocument, change_of, merge
from panopticon.settings import Settings
from tests.fleet.processes import fleet
from tests.fleet.trial import wait_until_empty
from tests.house import house_of

IMAGES = 200
REVISIONS = 3
LONGEST = 8
SENT_AT_ONCE = 50

Result = ResultPublished | FailedPublished | DeletedPublished
Event = ImageMessage | Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An event, and its lane."""

    event: Event
    lane: Lane


class RandomEvents:
    """A source of events of two versions and two policies."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def history(self, image_id: str) -> list[Event]:
        return [self._event(image_id) for _ in range(self._chance.randint(1, LONGEST))]

    def arrivals(self, histories: Sequence[Sequence[Event]]) -> list[Arrival]:
        """Return all events in a random order, every third of them twice."""
        events = [event for history in histories for event in history]
        events += self._chance.sample(events, len(events) // 3)
        self._chance.shuffle(events)
        return [Arrival(event=event, lane=self._chance.choice(list(Lane))) for event in events]

    def _event(self, image_id: str) -> Event:
        revision = self._chance.randrange(REVISIONS)
        kind = self._chance.choice(["upload", "delete", "rejection", "result", "result", "tombstone"])
        match kind:
            case "upload":
                return self._message(image_id, revision, uri=f"file:///{image_id}.{revision}.png")
            case "delete":
                return self._message(image_id, revision)
            case "rejection":
                return self._rejection(image_id, revision)
            case "tombstone":
                return DeletedPublished(image_id=image_id, revision=revision, occurred_at=self._moment())
        return self._result(image_id, revision)

    def _message(self, image_id: str, revision: int, *, uri: str | None = None) -> ImageMessage:
        return ImageMessage(
            image_id=image_id,
            image_uri=uri,
            revision=revision,
            event="uploaded" if uri else "deleted",
            occurred_at=self._moment(),
        )

    def _rejection(self, image_id: str, revision: int) -> FailedPublished:
        return FailedPublished(
            image_id=image_id,
            revision=revision,
            occurred_at=self._moment(),
            model="tagger",
            version=self._chance.choice([1, 2]),
            reason="corrupt",
        )

    def _result(self, image_id: str, revision: int) -> ResultPublished:
        """Return a result whose part depends on image, revision, version and policy number only, as one made
        from a stored vector does."""
        version, policy_number = self._chance.choice([1, 2]), self._chance.choice([1, 2])
        label = f"{image_id} at {revision} by tagger@{version} under policy {policy_number}"
        return ResultPublished(
            image_id=image_id,
            revision=revision,
            occurred_at=self._moment(),
            model="tagger",
            version=version,
            policy_number=policy_number,
            tags=(Tag(label=label, probability=0.5),),
            scores={"sharpness": policy_number / 4},
        )

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(1_700_000_000 + self._chance.randrange(9), UTC)


@pytest.mark.parametrize("places", ["on_one_file", "on_three_servers"])
def test_search_and_catalogue_equal_the_sorted_history(
    request: pytest.FixtureRequest, tmp_path: Path, places: str
) -> None:
    settings: Settings = request.getfixturevalue(places)
    source = RandomEvents(random.Random(8))
    histories = {image_id: source.history(image_id) for image_id in (f"image-{n}" for n in range(IMAGES))}
    two_indexers = (fleet(settings, tmp_path, ()), fleet(settings, tmp_path, ()))
    with house_of(settings) as house, two_indexers[0] as one, two_indexers[1] as other:
        send(house.broker, source.arrivals(list(histories.values())))
        wait_until_empty(settings, ())
        assert {*one.stop().values(), *other.stop().values()} == {0}
        documents = house.search.get(list(histories))
        rows = house.store.catalogue.get(list(histories))
        assert house.store.outputs.failures_of(list(histories)) == []
    assert documents == {
        image_id: document
        for image_id, history in histories.items()
        if (document := folded(image_id, history))
    }
    newest = {image_id: (row.revision, row.event, row.occurred_at_ms) for image_id, row in rows.items()}
    assert newest == {
        image_id: event for image_id, history in histories.items() if (event := newest_upload(history))
    }


def send(broker: Broker, arrivals: Sequence[Arrival]) -> None:
    """Send uploads and deletes to the catalogue, and the rest to the results."""
    for start in range(0, len(arrivals), SENT_AT_ONCE):
        for lane in Lane:
            events = [each.event for each in arrivals[start : start + SENT_AT_ONCE] if each.lane is lane]
            uploads = [event for event in events if isinstance(event, ImageMessage)]
            broker.uploads.publish(uploads, lane)
            results = [encode(event) for event in events if not isinstance(event, ImageMessage)]
            broker.results().submit(results, lane)


def folded(image_id: str, history: Sequence[Event]) -> SearchDocument | None:
    """Return the merge of the sorted history; None if nothing in it concerns search."""
    changes = sorted((change for event in history if (change := change_for(event))), key=place)
    return reduce(merge, changes, SearchDocument(image_id=image_id)) if changes else None


def change_for(event: Event) -> Change | None:
    """Return the change of search; None for an upload, which changes nothing before it has results."""
    if not isinstance(event, ImageMessage):
        return change_of(event)
    if event.event == "uploaded":
        return None
    return Change(
        kind=ChangeKind.DELETED,
        image_id=event.image_id,
        revision=event.revision,
        occurred_at_ms=to_ms(event.occurred_at),
    )


def place(change: Change) -> tuple[int, bool, int]:
    policy_number = change.part.policy_number if change.part else 0
    return change.revision, change.kind is ChangeKind.DELETED, policy_number


def newest_upload(history: Sequence[Event]) -> tuple[int, str, int] | None:
    """Return revision, event and time of the row in the catalogue: deletes win ties, then later events."""
    events = [event for event in history if isinstance(event, ImageMessage)]
    return max(
        ((event.revision, event.event, to_ms(event.occurred_at)) for event in events),
        key=lambda event: (event[0], event[1] == "deleted", event[2]),
        default=None,
    )
