"""The places of a request behind the gates: one in the service, and one for each image at each model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.scheduling.gate import Full, Gate, Place
from workers.serving.coordinator import Picture, Request
from workers.serving.problems import Problem
from workers.serving.served_model import ServedModel

MIN_RETRY_S = 0.05
"""The least wait that a refusal asks for, also before anything was measured."""


@dataclass(eq=False, slots=True, kw_only=True)
class Admission:
    """The places of one request, taken as far as there is room."""

    lane: Lane
    service: Place | Problem
    """Its place in the service, or the reason why there is none; then it has none at the models either."""
    first: dict[ServedModel, Place | Problem] = field(default_factory=dict)
    """The place of the first image at each model, or the reason why there is none."""
    more: list[Place] = field(default_factory=list)

    @property
    def refusal(self) -> Problem | None:
        """Return the reason for not reading the body; None if there is a place for an image at a model."""
        if isinstance(self.service, Problem):
            return self.service
        problems = [place for place in self.first.values() if isinstance(place, Problem)]
        return problems[0] if len(problems) == len(self.first) else None

    def resize(self, size_bytes: int) -> bool:
        """Change the size of the body in every place; return False if it does not fit into one of them."""
        return all(place.resize(size_bytes) for place in self._places())

    def requests(
        self, pictures: Sequence[Picture], *, refused: Callable[[Picture], Problem | None] | None = None
    ) -> list[list[Request]]:
        """Return the places of each picture at each model: the first has them, the others take theirs now.

        `refused` returns the problem of a picture that is not to be run.
        """
        rows = []
        for number, picture in enumerate(pictures):
            problem = refused(picture) if refused else None
            rows.append(
                [
                    Request(served=served, refusal=problem)
                    if problem
                    else self._request(served, picture, is_first=number == 0)
                    for served in self.first
                ]
            )
        return rows

    def leave(self) -> None:
        """Give every place back. Repeating is harmless."""
        for place in self._places():
            place.leave()

    def _request(self, served: ServedModel, picture: Picture, *, is_first: bool) -> Request:
        size_bytes = len(picture.encoded or b"")
        if is_first:
            place = self.first[served]
            if isinstance(place, Place):
                # It was as large as the whole body.
                place.resize(size_bytes)
        else:
            place = _enter(served, self.lane, size_bytes)
            if isinstance(place, Place):
                self.more.append(place)
        if isinstance(place, Problem):
            return Request(served=served, refusal=place)
        return Request(served=served, place=place)

    def _places(self) -> Iterator[Place]:
        yield from (place for place in (self.service, *self.first.values()) if isinstance(place, Place))
        yield from self.more


@contextmanager
def admitted(
    gate: Gate, models: Sequence[ServedModel], lane: Lane, length_bytes: int, *, metrics: Metrics
) -> Iterator[Admission]:
    """Take a place in the service and, for one image, at each model; give all places back at the end.

    `gate`: of the service, in requests and in bytes of their bodies.
    """
    entered = gate.enter(lane, length_bytes)
    if isinstance(entered, Full):
        metrics.count("panopticon_requests_over_limit_total", limit=entered.value)
        yield Admission(lane=lane, service=_service_full(gate, models))
        return
    admission = Admission(lane=lane, service=entered)
    try:
        for served in models:
            admission.first[served] = _enter(served, lane, length_bytes)
        yield admission
    finally:
        admission.leave()


def _enter(served: ServedModel, lane: Lane, size_bytes: int) -> Place | Problem:
    entered = served.enter(lane, size_bytes)
    return entered if isinstance(entered, Place) else _model_full(served, entered)


def _service_full(gate: Gate, models: Sequence[ServedModel]) -> Problem:
    return Problem(
        slug="gate-full",
        detail=f"the service has {gate.places} requests under way",
        allowed=f"{gate.max_places} requests, {gate.max_bytes} bytes",
        retry_after_s=max(MIN_RETRY_S, *(served.wait_s() for served in models)),
    )


def _model_full(served: ServedModel, full: Full) -> Problem:
    gate = served.gate
    what = {
        Full.PLACES: f"{gate.places} images under way",
        Full.BYTES: f"{gate.bytes} bytes of images under way",
        Full.BACKFILL: "as many images of the backfill lane under way as it takes",
    }
    return Problem(
        slug="gate-full",
        detail=f"{served.version} has {what[full]}",
        allowed=f"{gate.max_places} images (half of them backfill), {gate.max_bytes} bytes",
        retry_after_s=max(served.wait_s(), MIN_RETRY_S),
    )
