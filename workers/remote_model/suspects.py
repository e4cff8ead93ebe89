"""Images about which the service again and again gives no answer, although nobody says that they are bad.

The service convicts an image that ends its model processes (422). Its own limit of time may come before the
conviction, and it then forgets the evidence, so that such an image would end processes for ever. So an image
that stayed without an answer twice is sent alone, right after a control was answered: a picture on which the
model is known to run. If that happens again, it is answered with a failed attempt. As long as the control is
not answered, the service is at fault, and no image is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from panopticon.errors import Transient
from panopticon.messages import Lane
from panopticon.scheduling.items import Item, NotRun

SUSPECT_AFTER = 2
"""Requests about an image among others that stayed without an answer."""
FAILED_AFTER = 2
"""Requests about an image alone that stayed without an answer, each right after an answered control."""
UNANSWERED = "unanswered"
"""The reason code of an attempt at an image about which the service gives no answer."""
CONTROL_ID = 0
"""The id of the control, which no other item has."""


class Suspects:
    """The images that are to be sent alone, and the evidence against all."""

    def __init__(self, control: Callable[[], bytes]) -> None:
        """`control` returns the encoded picture on which the model is known to run."""
        self._control = control
        self._among_others: dict[int, int] = {}
        self._alone: dict[int, int] = {}
        self._isolated: deque[Item] = deque()
        self._sent = CONTROL_ID
        self._is_answering = False

    @property
    def next_lane(self) -> Lane | None:
        """The lane of what is to be sent alone next; None if nothing is."""
        return self._isolated[0].lane if self._isolated else None

    def take(self) -> Item:
        """Return what to send alone: a suspect once the control was answered, and the control until then.

        Call it only if `next_lane` is set.
        """
        if not self._is_answering:
            return Item(id=CONTROL_ID, lane=self._isolated[0].lane, encoded=self._control())
        item = self._isolated.popleft()
        self._sent = item.id
        return item

    def is_alone(self, item: Item) -> bool:
        """Return whether this was the last image, or control, to be sent alone."""
        return item.id in (CONTROL_ID, self._sent)

    def unanswered(self, item: Item, reason: str) -> Item | NotRun | None:
        """Record a request without an answer.

        Returns the image if it is to wait among the others, or its failure; None if it stays here.
        """
        if item.id == CONTROL_ID:
            return None
        if item.id == self._sent:
            return self._unanswered_alone(item, reason)
        self._among_others[item.id] = self._among_others.get(item.id, 0) + 1
        if self._among_others[item.id] < SUSPECT_AFTER:
            return item
        self._isolated.append(item)
        return None

    def _unanswered_alone(self, item: Item, reason: str) -> NotRun | None:
        self._is_answering, self._sent = False, CONTROL_ID
        self._alone[item.id] = self._alone.get(item.id, 0) + 1
        if self._alone[item.id] < FAILED_AFTER:
            self._isolated.append(item)
            return None
        self._forget(item)
        detail = f"the service {reason}, again and again, and answers about another picture"
        return NotRun(item=item, error=Transient(UNANSWERED, detail))

    def answered(self, item: Item) -> None:
        """Record an answer."""
        if item.id == CONTROL_ID:
            self._is_answering = True
        self._forget(item)

    def not_taken(self, item: Item) -> Item | None:
        """Record that the service did not take a request, which says nothing about its image.

        Returns the image if it is to wait among the others.
        """
        if item.id == CONTROL_ID:
            return None
        if self._among_others.get(item.id, 0) < SUSPECT_AFTER:
            return item
        # Meanwhile the service may have begun to fail, so the control comes first again.
        self._is_answering, self._sent = False, CONTROL_ID
        self._isolated.appendleft(item)
        return None

    def clear(self) -> list[Item]:
        """Forget all evidence; return the images that are kept here."""
        items = list(self._isolated)
        self._isolated.clear()
        self._among_others.clear()
        self._alone.clear()
        self._is_answering, self._sent = False, CONTROL_ID
        return items

    def _forget(self, item: Item) -> None:
        self._among_others.pop(item.id, None)
        self._alone.pop(item.id, None)
