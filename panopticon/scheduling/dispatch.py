"""The order in which images go to the model process, and the failure of images that kill it.

An image fails only on evidence against it alone. When the process dies, the images it had begun are isolated:
they run again one at a time. Two crashes while an image ran alone accuse it, or four kills, or a run alone
that took too long. After each of these the control runs alone: a picture on which the model is known to run.
If it runs, the accused images fail. If the process dies or hangs on the control too, the model itself is
failing, and no image fails, however few there are.

An image that its caller cancels is never answered. As long as it may have killed the process, it is kept and
goes on like any other, so that no innocent image is suspected in its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from panopticon.errors import Rejected, Transient
from panopticon.messages import Lane
from panopticon.scheduling.batching import LaneBuffer
from panopticon.scheduling.items import Item, NotRun

EVIDENCE_OF_CRASH = 2
EVIDENCE_OF_KILL = 1
"""SIGKILL comes from outside, through no fault of the image: from a kernel out of memory, or a person."""
ENOUGH_EVIDENCE = 4
"""Two crashes alone, or four kills alone, without a success between them."""
CONTROL_ID = 0
"""The id of the control, which no other item has."""


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

    def __init__(self, *, item_timeout_s: float, control: Callable[[], bytes]) -> None:
        """`control` returns the encoded picture on which the model is known to run."""
        self._item_timeout_s = item_timeout_s
        self._control = control
        self._waiting: dict[bool, LaneBuffer[Item]] = {False: LaneBuffer(), True: LaneBuffer()}
        """The key is True for items that are named by their URIs."""
        self._resend: deque[Item] = deque()
        self._isolated: deque[Item] = deque()
        self._sent: dict[int, _Sent] = {}
        self._evidence: dict[int, int] = {}
        self._accused: dict[int, Rejected] = {}
        self._failed: list[NotRun] = []
        self._convicted: list[NotRun] = []
        self._cancelled: set[int] = set()
        self._control_due = False
        self._model_is_failing = False
        self._alone = False

    def __len__(self) -> int:
        """Return the number of items it holds; a cancelled one counts while it goes on."""
        sent = len(self._sent) - (CONTROL_ID in self._sent)
        waiting = sum(map(len, self._waiting.values()))
        return waiting + len(self._resend) + len(self._isolated) + sent

    @property
    def model_is_failing(self) -> bool:
        """Return whether the process has died or hung on the control."""
        return self._model_is_failing

    def clear_images(self) -> None:
        """Forget the evidence against all images: the model was at fault. The next item is the control."""
        self._model_is_failing = False
        self._accused.clear()
        self._evidence.clear()
        self._isolated = deque(item for item in self._isolated if not self._forget_cancelled(item))

    def take_failed(self) -> list[NotRun]:
        """Return the accused images that the control has shown to be at fault, once each."""
        failed, self._failed = self._failed, []
        return failed

    def take_convicted(self) -> list[NotRun]:
        """Return the images that were found at fault, cancelled ones too, once each, for the log."""
        convicted, self._convicted = self._convicted, []
        return convicted

    def add(self, item: Item) -> None:
        self._waiting[_is_by_uri(item)].add(item, item.lane)

    def next_items(self, credit: int) -> list[Item]:
        """Return the items to send now. An isolated one goes alone.

        At most `credit` by their bytes and as many by their URIs are unanswered: so originals whose source
        hangs keep no image out that needs no source.
        """
        if self._alone and self._sent:
            return []
        items: list[Item] = []
        if self._control_due and not self._sent:
            items = [Item(id=CONTROL_ID, lane=Lane.LIVE, encoded=self._control())]
            self._alone = True
        elif not self._isolated:
            items = self._not_isolated(credit)
            self._alone = False
        elif not self._sent:
            items = [self._isolated.popleft()]
            self._alone = True
        self._sent.update((item.id, _Sent(item=item)) for item in items)
        return items

    def _not_isolated(self, credit: int) -> list[Item]:
        # Most calls find nothing, and counting what was sent takes longer with each item.
        if not self._resend and not any(self._waiting.values()):
            return []
        by_uri = sum(_is_by_uri(sent.item) for sent in self._sent.values())
        room = {True: credit - by_uri, False: credit - (len(self._sent) - by_uri)}
        items: list[Item] = []
        again, self._resend = self._resend, deque()
        for item in again:
            if room[_is_by_uri(item)] > 0:
                room[_is_by_uri(item)] -= 1
                items.append(item)
            else:
                self._resend.append(item)
        for kind, waiting in self._waiting.items():
            items += waiting.take(max(room[kind], 0))
        return items

    def started(self, ids: Sequence[int], phase: Phase, *, now_s: float) -> None:
        """Record that these items have reached a phase; unknown ids change nothing."""
        for id_ in ids:
            sent = self._sent.get(id_)
            if sent is not None:
                sent.phase, sent.since_s = phase, now_s

    def answered(self, id_: int) -> Item | None:
        """Remove an item and return it; None for the control, a cancelled item and an unknown id."""
        sent = self._sent.pop(id_, None)
        if sent is None:
            return None
        if id_ == CONTROL_ID:
            self._control_due = False
            self._fail_accused()
            return None
        self._evidence.pop(id_, None)
        return None if self._forget_cancelled(sent.item) else sent.item

    def cancel(self, ids: Collection[int]) -> list[int]:
        """Record that nobody wants these answers; return the ids that the process should drop (`dropped`).

        An item that waits is gone at once. One that was sent keeps its place in the credit until the process
        has dropped or answered it, and is a suspect if the process dies. One that runs, or is isolated, is
        not returned: it goes on to its end, so that the evidence against it is not lost. None of them will
        be answered or fail. Unknown ids change nothing.
        """
        unwanted = set(ids) - self._cancelled
        for waiting in self._waiting.values():
            waiting.remove(lambda item: item.id in unwanted)
        self._resend = deque(item for item in self._resend if item.id not in unwanted)
        self._failed = [failure for failure in self._failed if failure.item.id not in unwanted]
        isolated = {item.id for item in self._isolated}
        sent = [id_ for id_ in self._sent if id_ in unwanted and id_ != CONTROL_ID]
        self._cancelled.update(isolated & unwanted, sent)
        if self._alone:
            return []
        return [id_ for id_ in sent if self._sent[id_].phase is not Phase.RUN]

    def dropped(self, ids: Iterable[int]) -> None:
        """Record that the process has dropped these cancelled items; other ids change nothing."""
        for id_ in ids:
            if id_ in self._cancelled and id_ in self._sent:
                self._forget_cancelled(self._sent.pop(id_).item)

    def _forget_cancelled(self, item: Item) -> bool:
        """Return whether an item, which is over now, was cancelled."""
        was_cancelled = item.id in self._cancelled
        self._cancelled.discard(item.id)
        return was_cancelled

    def reclaim(self) -> list[Item]:
        """Remove the items that are neither in the process nor isolated, and return them."""
        waiting = [item for items in self._waiting.values() for item in items.take(len(items))]
        items = [*self._resend, *waiting]
        self._resend.clear()
        return items

    def _fail_accused(self) -> None:
        items, self._isolated = self._isolated, deque()
        for item in items:
            if item.id in self._accused:
                self._failed += self._convict(item, self._accused.pop(item.id))
            else:
                self._isolated.append(item)

    def _convict(self, item: Item, error: Rejected | Transient) -> list[NotRun]:
        """Return the failure of an item; nothing if it was cancelled."""
        self._evidence.pop(item.id, None)
        failure = NotRun(item=item, error=error)
        self._convicted.append(failure)
        return [] if self._forget_cancelled(item) else [failure]

    def _accuse(self, item: Item, error: Rejected) -> None:
        self._isolated.append(item)
        self._accused[item.id] = error
        self._control_due = True

    def overdue(self, *, now_s: float) -> list[int]:
        """Return the ids of items that were worked on for too long, so that the process must be killed."""
        return [
            id_
            for id_, sent in self._sent.items()
            if sent.phase.timed and now_s - sent.since_s > self._item_timeout_s
        ]

    def killed_overdue(self, *, now_s: float) -> list[NotRun]:
        """Record that the process was killed because of overdue items, and return those that failed.

        An overdue fetch or decode fails. A run of one image accuses it; a batch that was slow is isolated.
        """
        if self._control_is_gone():
            return []
        running = sum(sent.phase is Phase.RUN for sent in self._sent.values())
        late = [self._sent.pop(id_) for id_ in self.overdue(now_s=now_s)]
        slow = [sent.item for sent in late if sent.phase is Phase.RUN]
        if slow and running == 1:
            self._accuse(slow[0], Rejected("timed_out", self._lateness(Phase.RUN)))
        else:
            self._isolated.extend(slow)
        self._send_again(self._sent.values())
        return [
            failure for sent in late if sent.phase is not Phase.RUN for failure in self._convict_late(sent)
        ]

    def _convict_late(self, sent: _Sent) -> list[NotRun]:
        detail = self._lateness(sent.phase)
        if sent.phase is Phase.FETCH:
            return self._convict(sent.item, Transient("fetch_timed_out", detail))
        return self._convict(sent.item, Rejected("timed_out", detail))

    def _lateness(self, phase: Phase) -> str:
        return f"{phase} took more than {self._item_timeout_s:g} s"

    def died(self, *, killed: bool = False) -> None:
        """Record that the process died (`killed`: by SIGKILL).

        The items it had begun are isolated; if none is known to have begun, all that were sent are. An item
        that was alone with enough evidence against it is accused.
        """
        if self._control_is_gone():
            return
        if self._alone and self._sent:
            self._died_alone(self._sent.popitem()[1].item, EVIDENCE_OF_KILL if killed else EVIDENCE_OF_CRASH)
            return
        begun = [sent.item for sent in self._sent.values() if sent.phase.touched]
        isolated = begun or [sent.item for sent in self._sent.values()]
        self._isolated.extend(isolated)
        self._send_again(sent for sent in self._sent.values() if sent.item not in isolated)

    def _died_alone(self, item: Item, evidence: int) -> None:
        self._evidence[item.id] = self._evidence.get(item.id, 0) + evidence
        if self._evidence[item.id] >= ENOUGH_EVIDENCE:
            self._accuse(item, Rejected("killed_process", "again and again, while it ran alone"))
        else:
            self._isolated.append(item)
            self._control_due = True

    def _control_is_gone(self) -> bool:
        """Return whether the process ended while it had the control: then the model is failing."""
        if CONTROL_ID not in self._sent:
            return False
        self._sent.clear()
        self._model_is_failing = True
        return True

    def _send_again(self, sent: Iterable[_Sent]) -> None:
        self._resend.extend([entry.item for entry in sent if not self._forget_cancelled(entry.item)])
        self._sent.clear()

    def release(self) -> list[Item]:
        """Drop every item, and return those that were not cancelled."""
        self._sent.pop(CONTROL_ID, None)
        begun = [*(sent.item for sent in self._sent.values()), *self._isolated]
        items = [*(item for item in begun if not self._forget_cancelled(item)), *self.reclaim()]
        self._sent.clear()
        self._isolated.clear()
        self.clear_images()
        return items


def _is_by_uri(item: Item) -> bool:
    return item.encoded is None
