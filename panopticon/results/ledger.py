"""The state of one (image, model version), and what counts as lost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from panopticon.results.outputs import CatalogueImage, Failure, FailureState


class State(StrEnum):
    """Exactly one holds, at the catalogue's revision: the first of these that does."""

    STORED = "stored"
    DEAD = "dead"
    SKIPPED = "skipped"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts of one model version: accepted = stored + dead + skipped + pending, always."""

    stored: int = 0
    dead: int = 0
    skipped: int = 0
    pending: int = 0

    @property
    def accepted(self) -> int:
        return self.stored + self.dead + self.skipped + self.pending


def state_of(
    image: CatalogueImage | None, *, has_output: bool, failure: Failure | None, retired: bool
) -> State:
    """Where one image stands with one model version.

    Args:
        image: its catalogue row; None where only a failure is known of it (a message that was no message).
        has_output: whether an output of the row's revision is stored.
        failure: the failure kept for that revision, if any.
        retired: whether the version takes no images any more.
    """
    if has_output:
        return State.STORED
    if failure is not None and failure.state is FailureState.DEAD:
        return State.DEAD
    discarded = failure is not None and failure.state is FailureState.DISCARDED
    if retired or discarded or image is None or image.deleted:
        return State.SKIPPED
    return State.PENDING
