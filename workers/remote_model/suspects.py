"""Images about which the service again and again gives no answer, although nobody says that they are bad.

The service convicts an image that ends its model processes (422). Its own limit of time may come before the
conviction, and it then forgets the evidence, so that such an image would end processes for ever. So an image
that stayed without an answer twice is sent alone. If it has none again, a control is sent alone: a picture on
which the model is known to run. If that is answered, the image is given back as a failed attempt; otherwise
the service is at fault, and no image is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from panopticon.errors import Transient
from panopticon.messages import Lane
from panopticon.scheduling.items import Item, NotRun

SUSPECT_AFTER = 2
ACCUSED_AFTER = 3
"""Requests about one image that stayed without an answer, the last of them alone."""
UNANSWERED = "unanswered"
"""The reason code of an attempt at an image about which the service gives no answer."""
CONTROL_ID = 0
"""The id of the control, which no other item has."""


class Suspects:
    """The images that are to be sent alone, and the evidence against all."""

    def __init__(self, control: Callable[[], bytes]) -> None:
        """`control` returns the encoded picture on which the model is known to run."""
        self._control = control
        self._counts: dict[int, int] = {}
        self._isolated: deque[Item] = deque()
        self._accused: NotRun | None = None
        self._alone = CONTROL_ID

    @property
    def next_lane(self) -> Lane | None:
        """The lane of what is to be sent alone next; None if nothing is."""
        if self._accused is not None:
            return self._accused.item.lane
        return self._isolated[0].lane if self._isolated else None

    def take(self) -> Item:
        """Return the control if an image is accused, else the next suspect; call it if `next_lane` is set."""
        if self._accused is not None:
            return Item(id=CONTROL_ID, lane=self._accused.item.lane, encoded=self._control())
        item = self._isolated.popleft()
        self._alone = item.id
        return item

    def is_alone(self, item: Item) -> bool:
        """Return whether the request about this image was sent alone, as its last one."""
        return item.id in (CONTROL_ID, self._alone)

    def unanswered(self, item: Item, reason: str) -> Item | None:
        """Record a request without an answer; return the image that is to wait among the others, if any."""
        if item.id == CONTROL_ID:
            accused = self._close_case()
            return accused.item if accused else None
        count = self._counts[item.id] = self._counts.get(item.id, 0) + 1
        if count >= ACCUSED_AFTER and item.id == self._alone:
            detail = f"the service {reason}, {count} times, and answered about another picture"
            self._accused = NotRun(item=item, error=Transient(UNANSWERED, detail))
        elif count >= SUSPECT_AFTER:
            self._isolated.append(item)
        else:
            return item
        return None

    def answered(self, item: Item) -> NotRun | None:
        """Record an answer; return the accused image if it was the answer about the control."""
        if item.id != CONTROL_ID:
            self._counts.pop(item.id, None)
            return None
        return self._close_case()

    def not_taken(self, item: Item) -> Item | None:
        """Record that the service did not take a request, which says nothing about its image.

        Returns the image if it is to wait among the others.
        """
        if item.id == CONTROL_ID:
            return None
        if self._counts.get(item.id, 0) < SUSPECT_AFTER:
            return item
        self._isolated.appendleft(item)
        return None

    def _close_case(self) -> NotRun | None:
        """Forget the evidence against the accused image, and return the case."""
        accused, self._accused = self._accused, None
        self._alone = CONTROL_ID
        if accused is not None:
            self._counts.pop(accused.item.id, None)
        return accused

    def clear(self) -> list[Item]:
        """Forget all evidence; return the images that are kept here."""
        items = [*self._isolated, *([self._accused.item] if self._accused else [])]
        self._isolated.clear()
        self._counts.clear()
        self._accused = None
        return items
