"""A replica without a thread and a process: a test answers its jobs by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.scheduling.items import Answer, Hello, Item, NotRun, Ran
from workers.serving.jobs import Job
from workers.serving.replica import Replica, ReplicaState, Turn

HELLO = Hello(digest="d" * 64, engine="null", libraries="null 1", best_batch=2, dim=3)


class HandReplica(Replica):
    """Holds what it is given until the test answers or returns it."""

    def __init__(self, report: Callable[[Replica, Turn], None]) -> None:
        self.report = report
        self.held: list[Job] = []
        self.cancelled: list[Job] = []
        self.in_flight = 0
        self.state = ReplicaState()

    def start(self) -> None:
        """Start nothing."""

    def give(self, job: Job) -> None:
        self.in_flight += 1
        self.held.append(job)

    def cancel(self, job: Job) -> None:
        self.cancelled.append(job)

    def close(self) -> None:
        self.turn(ReplicaState(down=Unavailable("model", "its process was ended")), returned=self.held)

    def join(self, timeout_s: float) -> bool:
        return True

    def turn(
        self,
        state: ReplicaState | None = None,
        *,
        answered: list[tuple[Job, Answer]] | None = None,
        returned: list[Job] | None = None,
    ) -> None:
        """Report one turn, in which these jobs were answered or returned."""
        answers, back = list(answered or []), list(returned or [])
        self.held = [job for job in self.held if job not in back and job not in [done for done, _ in answers]]
        self.report(self, Turn(state=state or self.state, answered=answers, returned=back))

    def greet(self, hello: Hello = HELLO) -> None:
        self.turn(ReplicaState(hello=hello, pid=1))

    def die(self) -> None:
        """The process has ended, and is started again; what it held is returned."""
        self.turn(ReplicaState(), returned=self.held)

    def go_down(self, reason: str) -> None:
        self.turn(ReplicaState(down=Unavailable("model", reason)), returned=self.held)

    def answer(self, number: int = 1) -> list[Job]:
        """Answer the jobs that it has held for longest; return them."""
        jobs = self.held[:number]
        self.turn(answered=[(job, ran(job)) for job in jobs])
        return jobs

    def refuse(self, error: Rejected | Transient | Unavailable) -> None:
        """Answer the job that it has held for longest with an error."""
        job = self.held[0]
        self.turn(answered=[(job, NotRun(item=item_of(job), error=error))])


def item_of(job: Job) -> Item:
    return Item(id=1, lane=job.lane, uri=job.uri, encoded=job.encoded)


def ran(job: Job) -> Ran:
    return Ran(
        item=item_of(job),
        vector=np.array([0.25, 0.5, 0.75], dtype=np.float32),
        engine="null",
        libraries="null 1",
        source_sha256="5" * 64,
        width_px=4,
        height_px=3,
    )
