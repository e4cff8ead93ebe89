"""The deliveries of one consumer, from lease to settlement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from panopticon.errors import Transient
from panopticon.interfaces import Delivery
from panopticon.messages import ImageMessage
from panopticon.results.outputs import OutputKey
from workers.worker.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedImage:
    """One leased delivery whose image is to be run."""

    delivery: Delivery
    message: ImageMessage
    key: OutputKey
    uri: str
    """URI of the original; empty if neither the message nor the settings name one."""
    host: str
    """The host of the original: images of one host fail together when it is down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndecidedFailure:
    """A failure that may be the fault of the image or of its host."""

    image: LeasedImage
    error: Transient


@dataclass(slots=True, kw_only=True, eq=False)
class InFlight:
    """Each delivery in one of four places: waiting, at the model, undecided, or with an outcome."""

    waiting: list[LeasedImage] = field(default_factory=list)
    """The images that the model has not been given, longest waiting first."""
    at_model: dict[int, LeasedImage] = field(default_factory=dict)
    """The images that the model has been given and has not answered, by the id of their `Item`."""
    undecided: list[UndecidedFailure] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    """The outcomes that are not settled."""

    def __len__(self) -> int:
        return len(self.waiting) + len(self.at_model) + len(self.undecided) + len(self.outcomes)

    @property
    def hosts_at_model(self) -> set[str]:
        """The hosts that are still to answer."""
        return {image.host for image in self.at_model.values()}

    def deliveries(self) -> list[Delivery]:
        """Return every delivery in flight."""
        return [*self._unfinished(), *(outcome.delivery for outcome in self.outcomes)]

    def take_undecided(self, is_taken: Callable[[str], bool]) -> list[UndecidedFailure]:
        """Remove and return the undecided failures of every host for which `is_taken` holds."""
        taken = [failure for failure in self.undecided if is_taken(failure.image.host)]
        self.undecided = [failure for failure in self.undecided if not is_taken(failure.image.host)]
        return taken

    def release(self) -> list[Delivery]:
        """Drop everything without an outcome, and return its deliveries."""
        deliveries = self._unfinished()
        self.waiting.clear()
        self.at_model.clear()
        self.undecided.clear()
        return deliveries

    def _unfinished(self) -> list[Delivery]:
        images = [*self.at_model.values(), *self.waiting, *(failure.image for failure in self.undecided)]
        return [image.delivery for image in images]
