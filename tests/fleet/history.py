"""Random uploads, edits and deletes, and the state of each image that they must lead to."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from panopticon.messages import ImageMessage, Lane
from storage.originals.files import uri_of

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The state of one image after its newest event."""

    revision: int
    deleted: bool
    colour: Colour


@dataclass(kw_only=True)
class History:
    """A source of events that records the state which they lead to."""

    folder: Path
    chance: random.Random
    truths: dict[str, Truth] = field(default_factory=dict)

    def events(self, count: int) -> dict[Lane, list[ImageMessage]]:
        """Return this number of events as messages, some of them twice, by their lane."""
        messages: dict[Lane, list[ImageMessage]] = {lane: [] for lane in Lane}
        for _ in range(count):
            message = self._event()
            messages[self.chance.choice(list(Lane))] += [message] * self.chance.choice([1, 1, 1, 2])
        return messages

    def erased(self, image_id: str, revision: int) -> None:
        """Record a tombstone of this revision, which loses against an upload of a higher one."""
        truth = self.truths[image_id]
        if revision >= truth.revision:
            self.truths[image_id] = replace(truth, revision=revision, deleted=True)

    def _event(self) -> ImageMessage:
        known = self.chance.choice(list(self.truths)) if self.truths else None
        kind = self.chance.choices(["new", "edit", "delete"], weights=[6, 3, 1])[0]
        if known is None or kind == "new":
            return self._upload(f"image-{len(self.truths)}", revision=0)
        if kind == "edit":
            return self._upload(known, revision=self.truths[known].revision + 1)
        return self._delete(known)

    def _upload(self, image_id: str, *, revision: int) -> ImageMessage:
        colour = (self.chance.randrange(250), self.chance.randrange(256), self.chance.randrange(256))
        path = self.folder / f"{image_id}.{revision}.png"
        Image.new("RGB", (16, 16), colour).save(path)
        self.truths[image_id] = Truth(revision=revision, deleted=False, colour=colour)
        return self._message(image_id, revision, uri=uri_of(os.fsencode(path)))

    def _delete(self, image_id: str) -> ImageMessage:
        truth = self.truths[image_id]
        self.truths[image_id] = Truth(revision=truth.revision, deleted=True, colour=truth.colour)
        return self._message(image_id, truth.revision)

    def _message(self, image_id: str, revision: int, *, uri: str | None = None) -> ImageMessage:
        return ImageMessage(
            image_id=image_id,
            image_uri=uri,
            revision=revision,
            event="uploaded" if uri else "deleted",
            occurred_at=datetime.fromtimestamp(1_700_000_000 + revision, UTC),
        )
