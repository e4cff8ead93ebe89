"""The order in which images go to the model process, and the failure of images that kill it.

An image fails only on evidence against it alone. When the process dies, the images it had begun are isolated:
they run again one at a time. Two crashes while an image ran alone make it fail, or four kills. After such a
death, images that are not isolated run alone too, until the model has run on one of them, which shows that it
works. Three different images that kill it in a row mean that the model itself is failing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from panopticon.errors import Rejected, Transient
from panopticon.scheduling.batching import LaneBuffer
from panopticon.scheduling.items import Item, NotRun

EVIDENCE_OF_CRASH = 2
EVIDENCE_OF_KILL = 1
"""SIGKILL comes from outside, through no fault of the image: from a kernel out of memory, or a person."""
ENOUGH_EVIDENCE = 4
"""Two crashes alone, or four kills alone, without a success between them."""
MAX_KILLERS_IN_A_ROW = 3


class Phase(StrEnum):
    """The step that an image has reached in the model process."""

    SENT = "sent"
    FETCH = "fetch"
    DECODE = "decode"
    READY = "ready"
    RUN = "run"

    @property
    def timed(self) -> bool:
        """Return whether the image itself is being worked on, so that it can be overdue."""
        return self in (Phase.FETCH, Phase.DECODE, Phase.RUN)

    @property
    def touched(self) -> bool:
        """Return whether the image's bytes have reached the decoder or the model."""
        return self in (Phase.DECODE, Phase.READY, Phase.RUN)


@dataclass(slots=True, kw_only=True)
class _Sent:
    """An item in the model process."""

    item: Item
    phase: Phase = Phase.SENT
    since_s: float = 0.0


class Dispatcher:
    """The items without an answer: waiting, isolated, or sent. Times are monotonic seconds."""

    def __init__(self, *, item_timeout_s: float) -> None:
        self._item_timeout_s = item_timeout_s
        self._waiting: LaneBuffer[Item] = LaneBuffer()
        self._resend: deque[Item] = deque()
        self._isolated: deque[Item] = deque()
        self._sent: dict[int, _Sent] = {}
        self._evidence: dict[int, int] = {}
        self._killers_in_a_row: list[int] = []
        self._alone = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._resend) + len(self._isolated) + len(self._sent)

    @property
    def model_is_failing(self) -> bool:
        """Return whether three different images in a row have killed the process."""
        return len(set(self._killers_in_a_row)) >= MAX_KILLERS_IN_A_ROW

    def clear_images(self) -> None:
        """Forget the evidence against all images: the model was at fault."""
        self._killers_in_a_row.clear()
        self._evidence.clear()

    def add(self, item: Item) -> None:
        self._waiting.add(item, item.lane)

    def next_items(self, credit: int) -> list[Item]:
        """Return the items to send now; at most `credit` are unanswered, and an isolated one goes alone."""
        if self._alone and self._sent:
            return []
        items: list[Item] = []
        if not self._isolated:
            items = self._not_isolated(credit - len(self._sent))
            self._alone = False
        elif not self._sent:
            # After a death, an image without evidence against it shows whether the model still works.
            control = self._not_isolated(1) if self._killers_in_a_row else []
            items = control or [self._isolated.popleft()]
            self._alone = True
        self._sent.update((item.id, _Sent(item=item)) for item in items)
        return items

    def _not_isolated(self, room: int) -> list[Item]:
        again = [self._resend.popleft() for _ in range(min(max(room, 0), len(self._resend)))]
        return again + self._waiting.take(max(room - len(again), 0))

    def started(self, ids: Sequence[int], phase: Phase, *, now_s: float) -> None:
        """Record that these items have reached a phase; unknown ids change nothing."""
        for id_ in ids:
            sent = self._sent.get(id_)
            if sent is not None:
                sent.phase, sent.since_s = phase, now_s

    def answered(self, id_: int, *, ran: bool) -> Item | None:
        """Remove an item and return it; None for an unknown id. `ran`: the model has run on it."""
        sent = self._sent.pop(id_, None)
        if sent is None:
            return None
        self._evidence.pop(id_, None)
        if ran:
            self._killers_in_a_row.clear()
        return sent.item

    def overdue(self, *, now_s: float) -> list[int]:
        """Return the ids of items that were worked on for too long, so that the process must be killed."""
        return [
            id_
            for id_, sent in self._sent.items()
            if sent.phase.timed and now_s - sent.since_s > self._item_timeout_s
        ]

    def killed_overdue(self, *, now_s: float) -> list[NotRun]:
        """Record that the process was killed because of overdue items, and return those that failed.

        An overdue item fails if nothing but it can have been slow. A batch that was slow is isolated.
        """
        late = self.overdue(now_s=now_s)
        running = [id_ for id_, sent in self._sent.items() if sent.phase is Phase.RUN]
        failed = [id_ for id_ in late if self._sent[id_].phase is not Phase.RUN or len(running) == 1]
        failures = [self._fail_late(self._sent.pop(id_)) for id_ in failed]
        batch = [self._sent.pop(id_).item for id_ in running if id_ in self._sent and id_ in late]
        self._isolated.extend(batch)
        self._send_again(self._sent.values())
        return failures

    def _fail_late(self, sent: _Sent) -> NotRun:
        self._evidence.pop(sent.item.id, None)
        detail = f"{sent.phase} took more than {self._item_timeout_s:g} s"
        if sent.phase is Phase.FETCH:
            return NotRun(item=sent.item, error=Transient("fetch_timed_out", detail))
        return NotRun(item=sent.item, error=Rejected("timed_out", detail))

    def died(self, *, killed: bool = False) -> list[NotRun]:
        """Record that the process died (`killed`: by SIGKILL), and return the items that failed by it.

        The items it had begun are isolated; if none is known to have begun, all that were sent are.
        """
        if self._alone and self._sent:
            evidence = EVIDENCE_OF_KILL if killed else EVIDENCE_OF_CRASH
            return self._died_alone(self._sent.popitem()[1].item, evidence)
        begun = [sent.item for sent in self._sent.values() if sent.phase.touched]
        isolated = begun or [sent.item for sent in self._sent.values()]
        self._isolated.extend(isolated)
        self._send_again(sent for sent in self._sent.values() if sent.item not in isolated)
        return []

    def _died_alone(self, item: Item, evidence: int) -> list[NotRun]:
        self._evidence[item.id] = self._evidence.get(item.id, 0) + evidence
        self._killers_in_a_row.append(item.id)
        if self._evidence[item.id] < ENOUGH_EVIDENCE or self.model_is_failing:
            self._isolated.append(item)
            return []
        del self._evidence[item.id]
        return [NotRun(item=item, error=Rejected("killed_process", "again and again, while it ran alone"))]

    def _send_again(self, sent: Iterable[_Sent]) -> None:
        self._resend.extend([entry.item for entry in sent])
        self._sent.clear()

    def release(self) -> list[Item]:
        """Drop every item, and return them."""
        waiting = self._waiting.take(len(self._waiting))
        items = [*(sent.item for sent in self._sent.values()), *self._isolated, *self._resend, *waiting]
        self._sent.clear()
        self._isolated.clear()
        self._resend.clear()
        self.clear_images()
        return items
