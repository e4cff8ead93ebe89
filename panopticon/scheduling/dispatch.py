"""Which images go to the model process next, and who answers for its death.

An image is charged only on evidence against it alone. When the process dies, the images it had begun run
again one at a time; two crashes alone set an image aside, or four kills. After a death alone, images under
no suspicion go alone too, until the model has run on one of them: it is sound then. Three different images
killing it in a row speak against the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from panopticon.errors import Rejected, Transient
from panopticon.messages import Lane
from panopticon.scheduling.batching import LaneBuffer

EVIDENCE_OF_CRASH = 2
EVIDENCE_OF_KILL = 1
"""SIGKILL comes from outside: from a kernel out of memory, or from anyone, through no fault of the image."""
ENOUGH_EVIDENCE = 4
"""Two crashes alone, or four kills alone, without a success between them."""
MAX_KILLERS_IN_A_ROW = 3


class Phase(StrEnum):
    """How far the model process has come with an image."""

    SENT = "sent"
    FETCH = "fetch"
    DECODE = "decode"
    READY = "ready"
    RUN = "run"

    @property
    def timed(self) -> bool:
        """Whether the image itself is being worked on, and so can be overdue."""
        return self in (Phase.FETCH, Phase.DECODE, Phase.RUN)

    @property
    def touched(self) -> bool:
        """Whether the image's bytes have met the decoder or the model."""
        return self in (Phase.DECODE, Phase.READY, Phase.RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image on its way through the model process."""

    id: int
    lane: Lane
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailure:
    """The verdict on an image that overran its time or killed the process."""

    item: Item
    error: Rejected | Transient


@dataclass(slots=True, kw_only=True)
class _Sent:
    item: Item
    phase: Phase = Phase.SENT
    since_s: float = 0.0


class Dispatcher:
    """Items in hand: waiting, sent, or under suspicion. Times are monotonic seconds."""

    def __init__(self, *, item_timeout_s: float) -> None:
        self._item_timeout_s = item_timeout_s
        self._waiting: LaneBuffer[Item] = LaneBuffer()
        self._again: deque[Item] = deque()
        self._isolated: deque[Item] = deque()
        self._sent: dict[int, _Sent] = {}
        self._evidence: dict[int, int] = {}
        self._killers_in_a_row: list[int] = []
        self._alone = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._again) + len(self._isolated) + len(self._sent)

    @property
    def model_is_failing(self) -> bool:
        """Three different images in a row killed the process: it is the model, not they."""
        return len(set(self._killers_in_a_row)) >= MAX_KILLERS_IN_A_ROW

    def clear_images(self) -> None:
        """Charge nobody for the deaths so far: the model was to blame."""
        self._killers_in_a_row.clear()
        self._evidence.clear()

    def add(self, item: Item) -> None:
        self._waiting.add(item, item.lane)

    def next_items(self, credit: int) -> list[Item]:
        """What to send now, at most `credit` unanswered; a suspect goes alone."""
        if self._alone and self._sent:
            return []
        if self._isolated:
            items = [self._next_alone()] if not self._sent else []
            self._alone = bool(items)
        else:
            self._alone = False
            items = self._not_isolated(credit - len(self._sent))
        self._sent.update((item.id, _Sent(item=item)) for item in items)
        return items

    def _next_alone(self) -> Item:
        control = self._not_isolated(1) if self._killers_in_a_row else []
        return control[0] if control else self._isolated.popleft()

    def _not_isolated(self, room: int) -> list[Item]:
        again = [self._again.popleft() for _ in range(min(max(room, 0), len(self._again)))]
        return again + self._waiting.take(max(room - len(again), 0))

    def started(self, ids: list[int], phase: Phase, *, now_s: float) -> None:
        for id_ in ids:
            sent = self._sent.get(id_)
            if sent is not None:
                sent.phase, sent.since_s = phase, now_s

    def answered(self, id_: int, *, ran: bool) -> Item | None:
        """The item, now out of hand; None if it is not one of ours. `ran`: the model has run on it."""
        sent = self._sent.pop(id_, None)
        if sent is None:
            return None
        self._evidence.pop(id_, None)
        if ran:
            self._killers_in_a_row.clear()
        return sent.item

    def overdue(self, *, now_s: float) -> bool:
        """Whether any item has been worked on for too long: the process is to be killed."""
        return bool(self._overdue_ids(now_s))

    def _overdue_ids(self, now_s: float) -> list[int]:
        return [
            id_
            for id_, sent in self._sent.items()
            if sent.phase.timed and now_s - sent.since_s > self._item_timeout_s
        ]

    def killed_overdue(self, *, now_s: float) -> list[ItemFailure]:
        """The process was killed because of overdue items: charge those that were alone in what they did."""
        late = self._overdue_ids(now_s)
        running = [id_ for id_, sent in self._sent.items() if sent.phase is Phase.RUN]
        failed = [id_ for id_ in late if self._sent[id_].phase is not Phase.RUN or len(running) == 1]
        failures = [self._fail_late(self._sent.pop(id_)) for id_ in failed]
        batch = [self._sent.pop(id_).item for id_ in running if id_ in self._sent and id_ in late]
        self._isolated.extend(batch)
        self._take_back(self._sent.values())
        return failures

    def _fail_late(self, sent: _Sent) -> ItemFailure:
        self._evidence.pop(sent.item.id, None)
        detail = f"{sent.phase} took more than {self._item_timeout_s:g} s"
        if sent.phase is Phase.FETCH:
            return ItemFailure(item=sent.item, error=Transient("fetch_timed_out", detail))
        return ItemFailure(item=sent.item, error=Rejected("timed_out", detail))

    def died(self, *, killed: bool = False) -> list[ItemFailure]:
        """The process died: what it had begun is suspect; enough deaths alone are a verdict.

        If it had begun nothing that is known of, everything sent is suspect. `killed`: by SIGKILL.
        """
        if self._alone and self._sent:
            evidence = EVIDENCE_OF_KILL if killed else EVIDENCE_OF_CRASH
            return self._died_alone(self._sent.popitem()[1].item, evidence)
        begun = [sent.item for sent in self._sent.values() if sent.phase.touched]
        isolated = begun or [sent.item for sent in self._sent.values()]
        self._isolated.extend(isolated)
        self._take_back(sent for sent in self._sent.values() if sent.item not in isolated)
        return []

    def _died_alone(self, item: Item, evidence: int) -> list[ItemFailure]:
        self._evidence[item.id] = self._evidence.get(item.id, 0) + evidence
        self._killers_in_a_row.append(item.id)
        if self._evidence[item.id] < ENOUGH_EVIDENCE or self.model_is_failing:
            self._isolated.append(item)
            return []
        del self._evidence[item.id]
        return [
            ItemFailure(item=item, error=Rejected("killed_process", "again and again, while it ran alone"))
        ]

    def _take_back(self, sent: Iterable[_Sent]) -> None:
        self._again.extend([entry.item for entry in sent])
        self._sent.clear()

    def give_up(self) -> list[Item]:
        """Everything in hand, out of hand: it goes back to its queue."""
        waiting = self._waiting.take(len(self._waiting))
        items = [*(sent.item for sent in self._sent.values()), *self._isolated, *self._again, *waiting]
        self._sent.clear()
        self._isolated.clear()
        self._again.clear()
        self.clear_images()
        return items
