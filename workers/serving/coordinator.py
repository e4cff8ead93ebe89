"""One request: each image to each model at once, and the answers merged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.messages import Lane
from panopticon.scheduling.gate import Place
from panopticon.scheduling.items import Ran
from workers.registry.answers import image_answer, model_answer
from workers.serving.jobs import DeadlinePassed, Job
from workers.serving.policies import Policies
from workers.serving.presence import Presence
from workers.serving.problems import Problem
from workers.serving.served_model import CLIENT_GONE, DEADLINE, ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image of a request."""

    name: str = ""
    uri: str = ""
    encoded: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The wishes of a request, except for its images."""

    client: str
    lane: Lane
    trace: str
    deadline_s: float
    """Monotonic time at which the request must be answered."""
    top_k: int | None = None
    vectors: bool = False


@dataclass(eq=False, slots=True, kw_only=True)
class Request:
    """One image for one model within a request: its place behind the gate, or the reason for having none."""

    served: ServedModel
    place: Place | None = None
    refusal: Problem | None = None


@dataclass(eq=False, slots=True, kw_only=True)
class _Run:
    """The jobs of one request that are not finished yet."""

    done: asyncio.Future[None]
    left: int = 0
    jobs: list[tuple[Job, ServedModel]] = field(default_factory=list)

    def finished(self, _job: Job) -> None:
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)


class Coordinator:
    """Runs requests over the served models. Used by the event loop alone."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def analyze(
        self,
        pictures: Sequence[Picture],
        requests: Sequence[Sequence[Request]],
        asked: Asked,
        *,
        client: Presence,
    ) -> list[dict[str, Any]]:
        """Return one answer for each picture, in order. `requests`: for each picture, one for each model.

        What is not finished at the deadline, or once the client has left, is taken from the models.
        """
        loop = asyncio.get_running_loop()
        run = _Run(done=loop.create_future())
        jobs = [
            [self._job(picture, request, asked, run) for request in row]
            for picture, row in zip(pictures, requests, strict=True)
        ]
        # Only now, since a job may finish while it is submitted.
        run.left = len(run.jobs)
        for job, served in run.jobs:
            served.submit(job)
        if run.left:
            await self._wait(run, asked, client)
        for job, served in run.jobs:
            if job.outcome is None:
                served.forget(job, reason=CLIENT_GONE if client.gone else DEADLINE)
        return [
            self._merged(picture, row, requested, asked)
            for picture, row, requested in zip(pictures, jobs, requests, strict=True)
        ]

    def _job(self, picture: Picture, request: Request, asked: Asked, run: _Run) -> Job | None:
        if request.place is None:
            return None
        job = Job(
            client=asked.client,
            lane=asked.lane,
            uri=picture.uri,
            encoded=picture.encoded,
            trace=asked.trace,
            deadline_s=asked.deadline_s,
            finished=run.finished,
        )
        run.jobs.append((job, request.served))
        return job

    async def _wait(self, run: _Run, asked: Asked, client: Presence) -> None:
        loop = asyncio.get_running_loop()
        left_s = asked.deadline_s - loop.time()

        def end() -> None:
            if not run.done.done():
                run.done.set_result(None)

        timer = loop.call_later(max(left_s, 0), end)
        client.watch(end)
        try:
            await run.done
        finally:
            timer.cancel()
            client.watch(None)

    def _merged(
        self, picture: Picture, jobs: Sequence[Job | None], requests: Sequence[Request], asked: Asked
    ) -> dict[str, Any]:
        image: dict[str, Any] = {}
        if picture.name:
            image["name"] = picture.name
        if picture.uri:
            image["uri"] = picture.uri
        if picture.encoded is not None:
            image["bytes"] = len(picture.encoded)
        models: dict[str, Any] = {}
        for job, request in zip(jobs, requests, strict=True):
            served = request.served
            try:
                if job is None:
                    assert request.refusal is not None, "a request without a place has the reason for it"
                    raise request.refusal
                if not isinstance(job.outcome, Ran):
                    raise problem_of(job.outcome, served)
                ran = job.outcome
                # Each model fetches a URI by itself, and `image` describes what the first one has read.
                if image.get("sha256", ran.source_sha256) != ran.source_sha256:
                    raise Transient("changed", "the original changed while the models read it")
                models[str(served.version)] = model_answer(
                    served.card,
                    ran,
                    self._policies.of(served.version),
                    top_k=asked.top_k,
                    vector=asked.vectors,
                )
                image |= image_answer(ran)
            except (Problem, PanopticonError) as error:
                problem = error if isinstance(error, Problem) else problem_of(error, served)
                models[str(served.version)] = {"error": problem.as_dict()}
        return {"image": image, "models": models}


def problem_of(error: PanopticonError | None, served: ServedModel) -> Problem:
    """Return the problem of an image that a model did not answer; None stands for no outcome in time."""
    name = str(served.version)
    wait_s = max(served.wait_s(), 1.0)
    match error:
        case Rejected():
            return Problem(
                slug="rejected-image", detail=f"{name}: {error.detail or error.reason}", reason=error.reason
            )
        case Transient():
            return Problem(
                slug="source-failed", detail=f"{name}: {error.detail or error.reason}", reason=error.reason
            )
        case Unavailable() if error.component == "store":
            return Problem(slug="store-down", detail=str(error), component=error.component)
        case Unavailable():
            return Problem(
                slug="model-down",
                detail=f"{name}: {error}",
                component=error.component,
                reason=error.reason,
                retry_after_s=wait_s,
            )
        case DeadlinePassed() | None:
            detail = str(error) if error else f"{name}: the request's time was over before it had answered"
            return Problem(slug="deadline", detail=detail, retry_after_s=wait_s)
    raise error
