"""`POST /v1/analyze`: admitted or refused before its body is read, then run by every model asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from panopticon.messages import Lane
from panopticon.scheduling.gate import Full, Gate, Place
from panopticon.settings import Settings
from workers.serving.api.bodies import BodyReader, Receive
from workers.serving.api.entry import RequestContext, context_of
from workers.serving.api.queries import query_values
from workers.serving.catalogue import ServedCatalogue
from workers.serving.coordinator import (
    Asked,
    Coordinator,
    Picture,
    Request,
    longest_wait_ms,
    shared_status,
    whole_seconds,
)
from workers.serving.edge.refusal import refuse_early
from workers.serving.problems import MEDIA_TYPE, Problem
from workers.serving.served_model import ServedModel

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PARAMETERS = ("models", "top_k", "vectors")
LANE_HEADER = b"x-panopticon-lane"
TIMEOUT_HEADER = b"x-request-timeout-ms"
HEADERS = frozenset({LANE_HEADER, TIMEOUT_HEADER, b"content-type", b"content-encoding", b"content-length"})
MAX_TOP_K = 100_000
SERVICE = "the service"
OWN_WORKERS = "the workers of this service"
"""The caller's name of workers that the service has started; no token can have it, for it has spaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeQuery:
    """The parameters of a request."""

    models: tuple[str, ...] | None
    """The names of models; None if the request names none."""
    top_k: int | None
    vectors: bool


# A client sends the same few parameters with each of its images.
@lru_cache(maxsize=256)
def read_query(query_string: bytes) -> AnalyzeQuery:
    """Return the parameters of a query string. Raises: Problem naming the parameter."""
    query = query_values(query_string, known=PARAMETERS, repeatable={"models"})
    names = [name.strip() for value in query.get("models", ()) for name in value.split(",")]
    return AnalyzeQuery(
        models=tuple(filter(None, names)) or None,
        top_k=_whole_number("top_k", query.get("top_k", [None])[0], most=MAX_TOP_K),
        vectors=_flag("vectors", query.get("vectors", [None])[0]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The query and the headers of a request, read before its body."""

    models: Sequence[ServedModel]
    top_k: int | None
    vectors: bool
    lane: Lane
    timeout_s: float
    content_type: str
    length_bytes: int | None
    """The Content-Length; None for a body whose length is not known before its end."""


@dataclass(eq=False, slots=True, kw_only=True)
class Admission:
    """The places of one request: one in the service, and one for each image at each model."""

    service: Place | None = None
    first: dict[ServedModel, Place | Problem] = field(default_factory=dict)
    more: list[Place] = field(default_factory=list)

    def places(self) -> Iterator[Place]:
        """Yield every place that is taken."""
        if self.service is not None:
            yield self.service
        yield from (place for place in self.first.values() if isinstance(place, Place))
        yield from self.more

    def leave(self) -> None:
        """Give every place back. Repeating is harmless."""
        for place in self.places():
            place.leave()


class Analyze:
    """The endpoint, as an ASGI application: a request object for each call would cost more than it gives."""

    def __init__(
        self,
        *,
        catalogue: ServedCatalogue,
        coordinator: Coordinator,
        gate: Gate,
        settings: Settings,
    ) -> None:
        """`gate`: of the service, in requests and in bytes of their bodies."""
        self._catalogue = catalogue
        self._coordinator = coordinator
        self._gate = gate
        self._settings = settings

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        context = context_of(scope)
        begun_s = asyncio.get_running_loop().time()
        caller = context.check("analyze")
        options = self._options(scope)
        with self._admitted(options) as admission:
            problem = self._refusal(options, admission)
            if problem is not None:
                # Its client may go on sending for a while, and must not keep others out meanwhile.
                admission.leave()
                await refuse_early(scope, receive, send, problem, request_id=context.request_id)
                return
            reader = self._reader(receive, options, admission)
            pictures, several = await reader.read()
            if caller != OWN_WORKERS:
                self._refuse_files(pictures)
            asked = Asked(
                client=caller,
                lane=options.lane,
                trace=context.trace,
                deadline_s=begun_s + options.timeout_s,
                top_k=options.top_k,
                vectors=options.vectors,
            )
            requests = self._requests(pictures, options, admission)
            gone = asyncio.ensure_future(_until_gone(receive))
            try:
                answers = await self._coordinator.analyze(pictures, requests, asked, gone=gone)
            finally:
                gone.cancel()
        await _send_answers(answers, send, several=several, context=context)

    def _options(self, scope: MutableMapping[str, Any]) -> Options:
        """Return what a request asks for. Raises: Problem naming the parameter or the header."""
        query = read_query(scope["query_string"])
        headers = _headers(scope["headers"])
        encoding = headers.get(b"content-encoding", "identity").strip().lower()
        if encoding != "identity":
            raise Problem(
                slug="unsupported-media-type",
                detail="the body is encoded",
                parameter="Content-Encoding",
                value=encoding,
                allowed=["identity"],
            )
        models = self._catalogue.choose(query.models)
        if not models:
            raise Problem(slug="model-down", detail="the service has no model yet", component="model")
        return Options(
            models=models,
            top_k=query.top_k,
            vectors=query.vectors,
            lane=_lane(headers.get(LANE_HEADER)),
            timeout_s=self._timeout_s(headers.get(TIMEOUT_HEADER)),
            content_type=headers.get(b"content-type", ""),
            length_bytes=int(headers[b"content-length"]) if b"content-length" in headers else None,
        )

    def _timeout_s(self, header: str | None) -> float:
        most_s = self._settings.request_timeout_s
        if header is None:
            return most_s
        if not (header.isascii() and header.isdigit() and int(header[:12]) > 0):
            raise Problem(
                slug="invalid-header",
                detail="X-Request-Timeout-Ms is not a number of milliseconds",
                parameter="X-Request-Timeout-Ms",
                value=header,
                allowed=f"a whole number from 1; more than {most_s * 1000:.0f} counts as that",
            )
        return min(int(header[:12]) / 1000, most_s)

    @contextmanager
    def _admitted(self, options: Options) -> Iterator[Admission]:
        """Take a place in the service and, for one image, at each model; give all places back at the end."""
        admission = Admission()
        try:
            length_bytes = options.length_bytes or 0
            entered = self._gate.enter(options.lane, length_bytes)
            if isinstance(entered, Place):
                admission.service = entered
                for served in options.models:
                    place = served.gate.enter(options.lane, length_bytes)
                    admission.first[served] = place if isinstance(place, Place) else _full(served, place)
            yield admission
        finally:
            admission.leave()

    def _refusal(self, options: Options, admission: Admission) -> Problem | None:
        """Return the reason for not reading the body; None to go on."""
        most_bytes = self._settings.max_request_bytes
        if (options.length_bytes or 0) > most_bytes:
            return Problem(
                slug="too-large",
                detail=f"the body has {options.length_bytes} bytes",
                parameter="Content-Length",
                value=options.length_bytes,
                allowed=f"{most_bytes} bytes",
            )
        if admission.service is None:
            wait_s = max(served.wait_s() for served in options.models)
            return Problem(
                slug="gate-full",
                detail=f"{SERVICE} has {self._gate.places} requests under way",
                allowed=f"{self._gate.max_places} requests, {self._gate.max_bytes} bytes",
                retry_after_s=max(wait_s, MIN_RETRY_S),
            )
        problems = [place for place in admission.first.values() if isinstance(place, Problem)]
        return problems[0] if len(problems) == len(options.models) else None

    def _refuse_files(self, pictures: Sequence[Picture]) -> None:
        """Raise: Problem if a client names a file of this machine, and no setting says which it may read.

        On one machine the workers may read any file, for a person has submitted it; a client has not.
        """
        for picture in pictures:
            if picture.uri[:5].lower() == "file:" and not self._settings.file_roots:
                raise Problem(
                    slug="rejected-image",
                    detail="files of this machine are not read for clients; send the bytes",
                    parameter="uri",
                    value=picture.uri,
                    allowed="file:// below the folders of the setting file_roots, which is empty",
                    reason="path_not_allowed",
                )

    def _reader(self, receive: Receive, options: Options, admission: Admission) -> BodyReader:
        def arrived(size_bytes: int) -> None:
            # A declared length has its room already.
            if options.length_bytes is None and not all(
                place.resize(size_bytes) for place in admission.places()
            ):
                raise Problem(
                    slug="gate-full",
                    detail=f"{SERVICE} has no room for more bytes of bodies",
                    allowed=f"{self._gate.max_bytes} bytes",
                )

        return BodyReader(
            receive,
            content_type=options.content_type,
            max_bytes=self._settings.max_request_bytes,
            max_image_bytes=self._settings.max_bytes,
            max_images=self._settings.max_parts,
            timeout_s=self._settings.body_timeout_s,
            arrived=arrived,
        )

    def _requests(
        self, pictures: Sequence[Picture], options: Options, admission: Admission
    ) -> list[list[Request]]:
        """Return the places of each picture at each model: the first has them, the others take theirs now."""
        requests = []
        for number, picture in enumerate(pictures):
            size_bytes = len(picture.encoded or b"")
            row = []
            for served in options.models:
                place: Place | Problem = admission.first[served]
                if number == 0:
                    if isinstance(place, Place):
                        place.resize(size_bytes)
                else:
                    entered = served.gate.enter(options.lane, size_bytes)
                    place = entered if isinstance(entered, Place) else _full(served, entered)
                    if isinstance(place, Place):
                        admission.more.append(place)
                row.append(
                    Request(served=served, place=place)
                    if isinstance(place, Place)
                    else Request(served=served, refusal=place)
                )
            requests.append(row)
        return requests


MIN_RETRY_S = 0.05
"""The least wait that a refusal asks for, also before anything was measured."""


def _full(served: ServedModel, full: Full) -> Problem:
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


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """Return the headers that count here. Raises: Problem if one is there twice."""
    found: dict[bytes, str] = {}
    for name, value in pairs:
        if name not in HEADERS:
            continue
        if name in found:
            title = name.decode("ascii").title()
            raise Problem(
                slug="invalid-header",
                detail=f"{title} is there more than once, and which one counts is unclear",
                parameter=title,
                value=value.decode("latin-1"),
                allowed="one header of this name",
            )
        found[name] = value.decode("latin-1")
    return found


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _whole_number(name: str, value: str | None, *, most: int) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) <= most):
        raise Problem(
            slug="invalid-parameter",
            detail=f"{name} is not a whole number from 0 to {most}",
            parameter=name,
            value=value,
            allowed=f"0 to {most}",
        )
    return int(value)


def _flag(name: str, value: str | None) -> bool:
    if value in ("true", "1"):
        return True
    if value in (None, "false", "0"):
        return False
    raise Problem(
        slug="invalid-parameter",
        detail=f"{name} is neither true nor false",
        parameter=name,
        value=value,
        allowed=["true", "false"],
    )


def _lane(header: str | None) -> Lane:
    try:
        return Lane(header.strip().lower()) if header else Lane.LIVE
    except ValueError:
        raise Problem(
            slug="invalid-header",
            detail="there is no such lane",
            parameter="X-Panopticon-Lane",
            value=header,
            allowed=[lane.value for lane in Lane],
        ) from None


def _encoded(content: dict[str, Any]) -> bytes:
    """Encode as JSON. Every number is read back to the same bits."""
    try:
        return to_json(content)
    except PydanticSerializationError:
        # The name of a file may be any text, and a lone surrogate has no UTF-8.
        return json.dumps(content, separators=(",", ":")).encode("ascii")


async def _send_answers(
    answers: list[dict[str, Any]], send: Send, *, several: bool, context: RequestContext
) -> None:
    status = shared_status(answers)
    content: dict[str, Any] = {"results": answers} if several else answers[0]
    headers = [(b"content-type", b"application/json")]
    if status != 200:
        # The problem of one of them, and the whole answer within it.
        first = next(
            model["error"]
            for answer in answers
            for model in answer["models"].values()
            if model["error"]["status"] == status
        )
        content = {**first, "request_id": context.request_id, **content}
        headers = [(b"content-type", MEDIA_TYPE.encode())]
        wait_ms = longest_wait_ms(answers, status)
        if wait_ms is not None:
            content["retry_after_ms"] = wait_ms
            headers.append((b"retry-after", whole_seconds(wait_ms).encode()))
    body = _encoded(content)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
