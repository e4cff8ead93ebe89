"""One model version that is served: its gate, the images that wait for it, and its model processes."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Unavailable
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.models.golden_files import control_picture
from panopticon.results.outputs import VersionName
from panopticon.scheduling.fair_queue import FairQueue
from panopticon.scheduling.gate import Full, Gate, Place
from panopticon.scheduling.items import Hello, NotRun, Ran
from panopticon.scheduling.service_time import ServiceTime
from workers.serving.jobs import DeadlinePassed, Job
from workers.serving.replica import Replica, Turn

log = logging.getLogger(__name__)

BATCHES_AHEAD = 2
"""Best batches that a replica holds at most: one that runs, and one that is decoded meanwhile."""
PROBE_EVERY_S = 5.0
"""A replica that has answered nothing for this time runs the control picture."""
PROBE_CLIENT = "probe"
DEADLINE, CLIENT_GONE = "deadline", "client_gone"
"""The reasons for which an image is dropped."""
RECENT_S = 30.0
"""A replica whose last answer is older than this is not ready."""
MAX_CONVICTED = 1024
"""Images that are remembered because they ended their process; then the oldest one is forgotten."""
CONVICTED_S = 3600.0
"""Time for which they are remembered: what a URI names may change, and a slow hour may end."""
ReplicaFactory = Callable[
    [Callable[[Replica, Turn], None], Callable[[NotRun], None]],
    Sequence[Replica],
]


class ModelState(StrEnum):
    """The present state of a served model."""

    LOADING = "loading"
    READY = "ready"
    DOWN = "down"
    UNLOADING = "unloading"


class _Line:
    """Images that wait for one model, all of them by their bytes, or all of them by their URIs."""

    def __init__(self) -> None:
        self.queue: FairQueue[Job] = FairQueue()
        self.service = ServiceTime()
        self.in_flight: Counter[Replica] = Counter()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conviction:
    """The reason for which an image is not run, until a monotonic time."""

    error: Rejected
    until_s: float


class ServedModel:
    """One version with its replicas. Used by the event loop alone."""

    def __init__(
        self,
        card: ModelCard,
        *,
        replicas: ReplicaFactory,
        gate: Gate,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`replicas` makes them, not started, with two functions that they call on the event loop: one to
        report each turn, the other to report each image that was found at fault.
        """
        self.card = card
        self.version: VersionName = card.version_name
        self.gate = gate
        self._name = str(self.version)
        self._metrics = metrics
        self._clock = clock
        self._replicas = replicas(self._turned, self._convict)
        # In lines of their own, so that a source that hangs delays no image that needs no source.
        self._by_bytes, self._by_uri = _Line(), _Line()
        self._answered_s: dict[Replica, float] = {}
        self._at: dict[Job, Replica] = {}
        self._convicted: OrderedDict[bytes | str, _Conviction] = OrderedDict()
        """Convictions by the SHA-256 of the bytes, or by the URI."""
        self._failure: Unavailable | None = None
        self._closed = False
        self.unloading = False
        # Whether the service misses it while it is not up; true from its first start on.
        self.awaited = False

    def start(self) -> None:
        """Start the model processes, unless the model is being unloaded already."""
        if not self.unloading:
            for replica in self._replicas:
                replica.start()

    def fail(self, reason: str) -> None:
        """Refuse everything for this reason: its processes cannot even be started."""
        self._failure = Unavailable("model", reason)
        self._fail_waiting(self._failure)

    @property
    def failed(self) -> bool:
        """Return whether it has to be loaded again."""
        return self._failure is not None

    def close(self) -> None:
        """Let the model processes end. What waits gets an error."""
        self.unloading = self._closed = True
        self._fail_waiting(self._unloaded)
        for replica in self._replicas:
            replica.close()

    def join(self, timeout_s: float) -> None:
        """Wait until the processes have ended. It may block."""
        for replica in self._replicas:
            if not replica.join(timeout_s):
                log.warning("%s: a model process did not end within %g s", self._name, timeout_s)

    @property
    def replicas(self) -> int:
        return len(self._replicas)

    @property
    def ready_replicas(self) -> int:
        """Return the number of processes that have run their golden image and answered recently."""
        now_s = self._clock()
        return sum(
            replica.state.hello is not None and now_s - self._answered_s.get(replica, now_s) <= RECENT_S
            for replica in self._replicas
        )

    @property
    def pids(self) -> list[int]:
        """Return the IDs of the model processes that run."""
        return [replica.state.pid for replica in self._replicas if replica.state.pid is not None]

    @property
    def hello(self) -> Hello | None:
        """Return the description of the model by one of its processes; None while none is up."""
        return next((replica.state.hello for replica in self._replicas if replica.state.hello), None)

    @property
    def down(self) -> Unavailable | None:
        """Return the reason why the model can run nothing; None while a process is up or is being started."""
        if self._failure is not None:
            return self._failure
        reasons = [replica.state.down for replica in self._replicas]
        return reasons[0] if all(reasons) else None

    @property
    def state(self) -> ModelState:
        if self.unloading:
            return ModelState.UNLOADING
        if self.hello is not None:
            return ModelState.READY
        return ModelState.DOWN if self.down else ModelState.LOADING

    @property
    def waiting(self) -> int:
        """Return the number of images that no process holds yet."""
        return len(self._by_bytes.queue) + len(self._by_uri.queue)

    def wait_s(self) -> float:
        """Return the estimated seconds until everything that is admitted now has been answered."""
        places = self.gate.places
        return self._by_bytes.service.wait_s(places) or self._by_uri.service.wait_s(places)

    def enter(self, lane: Lane, size_bytes: int) -> Place | Full:
        """Take a place behind the gate, or return its limit that leaves no room."""
        entered = self.gate.enter(lane, size_bytes)
        if isinstance(entered, Full):
            self._metrics.count("panopticon_images_over_limit_total", model=self._name, limit=entered.value)
        else:
            self._metrics.count("panopticon_images_admitted_total", model=self._name, lane=lane.value)
        return entered

    def submit(self, job: Job) -> None:
        """Let an image wait for its turn; an image that is known to end the process is refused."""
        if (conviction := self._conviction_of(job)) is not None:
            job.finish(conviction)
        elif self.unloading:
            job.finish(self._unloaded)
        elif self.down is not None:
            job.finish(self.down)
        else:
            job.waits_since_s = self._clock()
            self._line(job).queue.add(job, client=job.client, lane=job.lane)
            self._feed()

    def forget(self, job: Job, *, reason: str = DEADLINE) -> None:
        """Drop an image whose outcome nobody wants any more, unless it runs already.

        `reason`, for the metrics: DEADLINE or CLIENT_GONE.
        """
        job.forgotten = True
        self._metrics.count("panopticon_images_dropped_total", model=self._name, reason=reason)
        was_waiting = self._line(job).queue.remove(job, client=job.client, lane=job.lane)
        if not was_waiting and job in self._at:
            self._at[job].cancel(job)

    def probe(self) -> None:
        """Let each process that is idle run the control picture from time to time, to see that it answers."""
        if self._closed:
            return
        now_s = self._clock()
        for replica in self._replicas:
            is_due = now_s - self._answered_s.get(replica, now_s) >= PROBE_EVERY_S
            if replica.state.hello is None or not is_due or replica.in_flight:
                continue
            job = Job(
                client=PROBE_CLIENT,
                lane=Lane.LIVE,
                encoded=control_picture(self.card),
                deadline_s=now_s + RECENT_S,
                finished=lambda _: None,
            )
            self._give(replica, job)

    def _feed(self) -> None:
        """Give waiting images to processes that have room, each to the one that holds the fewest.

        So two idle processes take one image each, and images wait here, where they can be ordered and
        dropped, while every process has a batch that runs and another one that is decoded.
        """
        for line in (self._by_bytes, self._by_uri):
            while len(line.queue) and (replica := self._least_loaded(line)) is not None:
                self._give_next(line, replica)

    def _give_next(self, line: _Line, replica: Replica) -> None:
        job = line.queue.take()
        if job.forgotten:
            return
        # An idle process tries: it keeps nobody else waiting, and only an answer can show that the model has
        # become faster than was measured.
        run_s = line.service.wait_s(1) if replica.in_flight else 0.0
        now_s = self._clock()
        if now_s + run_s > job.deadline_s:
            self._metrics.count("panopticon_images_dropped_total", model=self._name, reason=DEADLINE)
            job.finish(DeadlinePassed(f"{self._name}: the request's time was over before its turn"))
        else:
            self._metrics.observe("panopticon_wait_seconds", now_s - job.waits_since_s, model=self._name)
            self._give(replica, job)

    def _least_loaded(self, line: _Line) -> Replica | None:
        candidates = [
            replica
            for replica in self._replicas
            if replica.state.hello is not None
            and line.in_flight[replica] < replica.state.hello.best_batch * BATCHES_AHEAD
        ]
        return min(candidates, key=lambda replica: (line.in_flight[replica], replica.in_flight), default=None)

    def _give(self, replica: Replica, job: Job) -> None:
        line = self._line(job)
        line.service.began(now_s=self._clock())
        line.in_flight[replica] += 1
        self._at[job] = replica
        replica.give(job)

    def _line(self, job: Job) -> _Line:
        return self._by_uri if job.encoded is None else self._by_bytes

    def _turned(self, replica: Replica, turn: Turn) -> None:
        """Take over what a replica reports."""
        now_s = self._clock()
        was_up = replica.state.hello is not None
        replica.state = turn.state
        replica.in_flight -= len(turn.answered) + len(turn.returned)
        if turn.state.hello is not None:
            self.awaited = True
        if turn.state.hello is not None and (turn.answered or not was_up):
            self._answered_s[replica] = now_s
        self._count(replica, turn, now_s=now_s)
        if was_up and turn.state.hello is None:
            self._by_bytes.service.interrupted()
            self._by_uri.service.interrupted()
        for job, answer in turn.answered:
            del self._at[job]
            job.finish(answer if isinstance(answer, Ran) else answer.error)
        # The oldest one comes last, and is then in front of the others.
        for job in reversed(turn.returned):
            del self._at[job]
            if job.outcome is None and not job.forgotten and job.client != PROBE_CLIENT:
                job.waits_since_s = now_s
                self._line(job).queue.add_first(job, client=job.client, lane=job.lane)
        # Processes that are about to end take nothing of each other.
        refusal = self._unloaded if self._closed else self.down
        if refusal is not None:
            self._fail_waiting(refusal)
            self._fail_held(refusal)
        self._feed()

    @property
    def _unloaded(self) -> Unavailable:
        return Unavailable("model", f"{self._name} was unloaded")

    def _count(self, replica: Replica, turn: Turn, *, now_s: float) -> None:
        """Take what a turn ends out of the numbers in flight, and measure the time of what it answered."""
        for line in (self._by_bytes, self._by_uri):
            answered = sum(self._line(job) is line for job, _ in turn.answered)
            over = answered + sum(self._line(job) is line for job in turn.returned)
            if over:
                line.in_flight[replica] -= over
                line.service.answered(answered, busy=line.in_flight.total() > 0, now_s=now_s)

    def _fail_waiting(self, reason: Unavailable) -> None:
        for line in (self._by_bytes, self._by_uri):
            while len(line.queue):
                line.queue.take().finish(reason)

    def _fail_held(self, reason: Unavailable) -> None:
        """Fail what no process has returned: a suspect stays with the process that it may have ended."""
        for job, replica in self._at.items():
            job.finish(reason)
            replica.cancel(job)

    def _convict(self, failure: NotRun) -> None:
        """Remember an image that ended its process, so that it does so only once."""
        if isinstance(failure.error, Rejected):
            self._metrics.count("panopticon_images_convicted_total", model=self._name)
            key = _identity(failure.item.encoded, failure.item.uri)
            # At the end, also if it was there before: they are in the order in which they lapse.
            self._convicted.pop(key, None)
            self._convicted[key] = _Conviction(error=failure.error, until_s=self._clock() + CONVICTED_S)
            if len(self._convicted) > MAX_CONVICTED:
                self._convicted.popitem(last=False)

    def _conviction_of(self, job: Job) -> Rejected | None:
        while self._convicted and next(iter(self._convicted.values())).until_s <= self._clock():
            self._convicted.popitem(last=False)
        # Hashing each image would cost more than all else here, so it is done only after a conviction.
        if not self._convicted:
            return None
        conviction = self._convicted.get(_identity(job.encoded, job.uri))
        return conviction.error if conviction else None


def _identity(encoded: bytes | None, uri: str) -> bytes | str:
    return uri if encoded is None else hashlib.sha256(encoded).digest()
