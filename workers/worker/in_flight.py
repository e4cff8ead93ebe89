"""The deliveries of one consumer, from lease to settlement."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from panopticon.errors import Transient
from panopticon.interfaces import Delivery
from panopticon.messages import ImageMessage
from panopticon.results.outputs import OutputKey
from panopticon.scheduling.items import Item
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


class InFlight:
    """Each delivery in one of four places: waiting, at the model, undecided, or with an outcome."""

    def __init__(self) -> None:
        self._waiting: list[LeasedImage] = []
        self._at_model: dict[int, LeasedImage] = {}
        self._undecided: list[UndecidedFailure] = []
        self._outcomes: list[Outcome] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self._at_model) + len(self._undecided) + len(self._outcomes)

    @property
    def waiting(self) -> int:
        """The number of images that the model has not been given."""
        return len(self._waiting)

    @property
    def at_model(self) -> int:
        """The number of images that the model has been given and has not answered."""
        return len(self._at_model)

    @property
    def hosts_at_model(self) -> set[str]:
        """The hosts that are still to answer."""
        return {image.host for image in self._at_model.values()}

    @property
    def has_undecided(self) -> bool:
        return bool(self._undecided)

    @property
    def outcomes(self) -> list[Outcome]:
        """The outcomes that are not settled."""
        return self._outcomes

    def deliveries(self) -> list[Delivery]:
        """Return every delivery in flight."""
        return [*self._unfinished(), *(outcome.delivery for outcome in self._outcomes)]

    def wait(self, images: Iterable[LeasedImage]) -> None:
        self._waiting.extend(images)

    def next_waiting(self, max_images: int) -> list[LeasedImage]:
        """Return the images that have waited longest; they stay until `take_waiting`."""
        return self._waiting[:max_images]

    def take_waiting(self, images: int) -> None:
        """Remove the images that have waited longest."""
        del self._waiting[:images]

    def given(self, image: LeasedImage, item: Item) -> None:
        """Record that the model was given this image as `item`."""
        self._at_model[item.id] = image

    def answered(self, item: Item) -> LeasedImage:
        """Remove the image of an item, and return it."""
        return self._at_model.pop(item.id)

    def undecided(self, image: LeasedImage, error: Transient) -> None:
        self._undecided.append(UndecidedFailure(image=image, error=error))

    def take_undecided(self, is_taken: Callable[[str], bool]) -> list[UndecidedFailure]:
        """Remove and return the undecided failures of every host for which `is_taken` holds."""
        taken = [failure for failure in self._undecided if is_taken(failure.image.host)]
        self._undecided = [failure for failure in self._undecided if not is_taken(failure.image.host)]
        return taken

    def finish(self, outcome: Outcome) -> None:
        """Record an outcome, which waits for its settlement."""
        self._outcomes.append(outcome)

    def settled(self) -> None:
        """Drop all outcomes: they are settled."""
        self._outcomes.clear()

    def release(self) -> list[Delivery]:
        """Drop everything without an outcome, and return its deliveries."""
        deliveries = self._unfinished()
        self._waiting.clear()
        self._at_model.clear()
        self._undecided.clear()
        return deliveries

    def _unfinished(self) -> list[Delivery]:
        images = [*self._at_model.values(), *self._waiting, *(failure.image for failure in self._undecided)]
        return [image.delivery for image in images]
