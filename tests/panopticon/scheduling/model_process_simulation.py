"""A simulated model process, driven through a Dispatcher as the model client drives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from panopticon.scheduling.dispatch import CONTROL_ID, Dispatcher, Phase
from panopticon.scheduling.items import Item, NotRun

ITEM_TIMEOUT_S = 60.0
PREPARE_THREADS = 2
MAX_STEPS = 20_000


class Fate(Enum):
    """The effect that an image has on the process that works on it."""

    FINE = "fine"
    REFUSED = "refused"
    DIES_AT_FETCH = "dies at fetch"
    DIES_AT_DECODE = "dies at decode"
    DIES_AT_RUN = "dies at run"
    HANGS_AT_FETCH = "hangs at fetch"
    HANGS_AT_DECODE = "hangs at decode"
    HANGS_AT_RUN = "hangs at run"


KILLERS = {
    Fate.DIES_AT_FETCH: Phase.FETCH,
    Fate.DIES_AT_DECODE: Phase.DECODE,
    Fate.DIES_AT_RUN: Phase.RUN,
}
HANGERS = {
    Fate.HANGS_AT_FETCH: Phase.FETCH,
    Fate.HANGS_AT_DECODE: Phase.DECODE,
    Fate.HANGS_AT_RUN: Phase.RUN,
}


class Died(Exception):  # noqa: N818
    """The simulated process is gone."""

    def __init__(self, *, killed: bool = False) -> None:
        super().__init__()
        self.killed = killed


@dataclass(kw_only=True)
class Simulation:
    """Images of given fates, a credit, and a number of kills from outside."""

    fates: dict[int, Fate]
    random: Random
    credit: int
    best_batch: int
    control_fate: Fate = Fate.FINE
    """The effect of the model itself, which the picture that is known to be good has too."""
    outside_kills: int = 0
    cancel_share: float = 0.0
    """The share of turns in which the caller cancels one image."""
    reclaims: bool = False
    """True if the caller takes back what it can at each end of the process."""
    patience: int = 3
    """The number of times in a row that the model may be down without an answer before the run ends."""
    now_s: float = 0.0
    answered: Counter[int] = field(default_factory=Counter)
    failed: list[NotRun] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    cancelled_suspects: set[int] = field(default_factory=set)
    """Those that were cancelled after the process had died on them."""
    reclaimed: list[int] = field(default_factory=list)
    convicted: list[int] = field(default_factory=list)
    to_drop: set[int] = field(default_factory=set)
    """The cancelled items that the process was asked to drop, and has not dropped yet."""
    hit_alone: Counter[int] = field(default_factory=Counter)
    """Deaths of the process while it held this image and no other."""
    times_down: int = 0
    """The number of times that the process died or hung on the control."""
    phases: dict[int, Phase] = field(default_factory=dict)
    """The items that the process holds."""
    isolated: set[int] = field(default_factory=set)
    dispatcher: Dispatcher = field(
        default_factory=lambda: Dispatcher(item_timeout_s=ITEM_TIMEOUT_S, control=lambda: b"good")
    )

    def run(self, items: Sequence[Item]) -> None:
        """Turn until every image has its answer, or the model has been down `patience` times without any."""
        for item in items:
            self.dispatcher.add(item)
        down_without_answer = 0
        for _ in range(MAX_STEPS):
            if not len(self.dispatcher) or down_without_answer == self.patience:
                return
            done, times_down = self._settled(), self.times_down
            self._turn()
            if self._settled() > done:
                down_without_answer = 0
            down_without_answer += self.times_down - times_down
        raise AssertionError("it never ends")

    def _settled(self) -> int:
        return len(self.failed) + self.answered.total()

    def _turn(self) -> None:
        self._cancel()
        self._feed()
        try:
            self._step()
        except Died as death:
            self._died(killed=death.killed)
        self._fail(self.dispatcher.take_failed())
        self.convicted += [failure.item.id for failure in self.dispatcher.take_convicted()]

    def _cancel(self) -> None:
        if self.random.random() >= self.cancel_share:
            return
        id_ = self.random.choice(list(self.fates))
        failed = {failure.item.id for failure in self.failed}
        if id_ in self.answered or id_ in failed or id_ in self.reclaimed:
            assert self.dispatcher.cancel([id_]) == []
            return
        self.cancelled.add(id_)
        if id_ in self.isolated:
            self.cancelled_suspects.add(id_)
        self.to_drop.update(self.dispatcher.cancel([id_]))

    def _reclaim(self) -> None:
        if self.reclaims:
            ids = [item.id for item in self.dispatcher.reclaim()]
            assert not self.isolated.intersection(ids)
            assert not self.cancelled.intersection(ids)
            self.reclaimed += ids

    def _fate(self, id_: int) -> Fate:
        return self.control_fate if id_ == CONTROL_ID else self.fates[id_]

    def _feed(self) -> None:
        ids = [item.id for item in self.dispatcher.next_items(self.credit)]
        if self.isolated.intersection(ids):
            assert len(ids) == 1
            assert not self.phases
        self.phases.update(dict.fromkeys(ids, Phase.SENT))
        assert len(self.phases) <= self.credit

    def _step(self) -> None:
        if self.outside_kills and self.phases and self.random.random() < 0.1:
            self.outside_kills -= 1
            raise Died(killed=True)
        moves = [id_ for id_, phase in self.phases.items() if self._can_move(id_, phase)]
        if moves:
            self._move(self.random.choice(moves))
        elif self.phases:
            self._overdue()

    def _in(self, *phases: Phase) -> list[int]:
        return [id_ for id_, phase in self.phases.items() if phase in phases]

    def _can_move(self, id_: int, phase: Phase) -> bool:
        if id_ in self.to_drop and phase in (Phase.SENT, Phase.READY):
            return True
        if phase is Phase.SENT:
            return len(self._in(Phase.FETCH, Phase.DECODE)) < PREPARE_THREADS
        if phase is Phase.READY:
            return not self._in(Phase.RUN)
        if phase is Phase.RUN:
            return not any(HANGERS.get(self._fate(each)) is Phase.RUN for each in self._in(Phase.RUN))
        return HANGERS.get(self._fate(id_)) is not phase

    def _move(self, id_: int) -> None:
        phase = self.phases[id_]
        ends_here = phase is not Phase.DECODE or self._fate(id_) is not Fate.REFUSED
        if id_ in self.to_drop and phase is not Phase.RUN and ends_here:
            self._drop(id_)
        elif phase is Phase.SENT:
            self._enter([id_], Phase.FETCH)
        elif phase is Phase.FETCH:
            self._enter([id_], Phase.DECODE)
        elif phase is Phase.DECODE and self._fate(id_) is Fate.REFUSED:
            self._answer([id_])
        elif phase is Phase.DECODE:
            self._enter([id_], Phase.READY)
        elif phase is Phase.READY:
            self._enter(self._in(Phase.READY)[: self.best_batch], Phase.RUN)
        else:
            self._answer(self._in(Phase.RUN))

    def _enter(self, ids: list[int], phase: Phase) -> None:
        """The parent hears of a fetch late, and not at all if the process dies in it."""
        self.phases.update(dict.fromkeys(ids, phase))
        dies = any(KILLERS.get(self._fate(id_)) is phase for id_ in ids)
        if not (phase is Phase.FETCH and dies):
            self.dispatcher.started(ids, phase, now_s=self.now_s)
        if dies:
            raise Died

    def _drop(self, id_: int) -> None:
        del self.phases[id_]
        self.to_drop.remove(id_)
        self.dispatcher.dropped([id_])

    def _answer(self, ids: list[int]) -> None:
        for id_ in ids:
            del self.phases[id_]
            self.to_drop.discard(id_)
            item = self.dispatcher.answered(id_)
            if id_ == CONTROL_ID or id_ in self.cancelled:
                assert item is None
                continue
            assert item is not None
            assert item.id == id_
            self._settle(id_)
            self.answered[id_] += 1

    def _died(self, *, killed: bool) -> None:
        if len(self.phases) == 1 and CONTROL_ID not in self.phases:
            self.hit_alone.update(list(self.phases))
        self.isolated.update(id_ for id_, phase in self.phases.items() if phase.touched)
        self.phases.clear()
        self.to_drop.clear()
        self.dispatcher.died(killed=killed)
        self._notice_failing_model()
        self._reclaim()

    def _notice_failing_model(self) -> None:
        if self.dispatcher.model_is_failing:
            self.dispatcher.clear_images()
            self.times_down += 1

    def _overdue(self) -> None:
        self.now_s += ITEM_TIMEOUT_S + 1
        assert self.dispatcher.overdue(now_s=self.now_s)
        running = self._in(Phase.RUN)
        self.phases.clear()
        self.to_drop.clear()
        self._fail(self.dispatcher.killed_overdue(now_s=self.now_s))
        self._notice_failing_model()
        self._reclaim()
        assert len(running) < 2 or not {failure.item.id for failure in self.failed}.intersection(running)

    def _fail(self, failures: list[NotRun]) -> None:
        self.failed += failures
        for failure in failures:
            self._settle(failure.item.id)

    def _settle(self, id_: int) -> None:
        assert id_ not in self.answered
        assert id_ not in self.cancelled
        assert id_ not in self.reclaimed
        assert [failure.item.id for failure in self.failed].count(id_) <= 1
        self.isolated.discard(id_)
