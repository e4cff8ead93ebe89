"""The ledger: the state of each image for each model version, and the counts of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from panopticon.results.outputs import CatalogueImage, Failure, FailureState


class State(StrEnum):
    """The state of one image for one model version, at the catalogue's revision: the first that applies."""

    STORED = "stored"
    DEAD = "dead"
    SKIPPED = "skipped"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The counts of one model version. Always accepted = stored + dead + skipped + pending."""

    stored: int = 0
    dead: int = 0
    skipped: int = 0
    pending: int = 0
    retrying: int = 0
    """The pending images that wait on a retry delay, by their record; one may be overdue."""

    @property
    def accepted(self) -> int:
        """Images that the version should have processed."""
        return self.stored + self.dead + self.skipped + self.pending


def state_of(
    image: CatalogueImage | None, *, has_output: bool, failure: Failure | None, retired: bool
) -> State:
    """Return the state of one image for one model version.

    Args:
        image: its catalogue row; None if only a failure of it is known (from a malformed message).
        has_output: true if an output of the row's revision is stored.
        failure: the failure stored for that revision, if any; one that is `retrying` leaves it pending.
        retired: true if the version accepts no images any more.
    """
    if has_output:
        return State.STORED
    if failure is not None and failure.state is FailureState.DEAD:
        return State.DEAD
    discarded = failure is not None and failure.state is FailureState.DISCARDED
    if retired or discarded or image is None or image.deleted:
        return State.SKIPPED
    return State.PENDING
