"""The endpoint `POST /v1/analyze`: admitted or refused before its body is read, then run by every model."""

from __future__ import annotations

import asyncio

from panopticon.metrics import Metrics
from panopticon.scheduling.gate import Gate
from panopticon.settings import Settings
from workers.serving.api.analyze.admission import Admission, admitted
from workers.serving.api.analyze.answer import send_answers
from workers.serving.api.analyze.options import Options, read_options
from workers.serving.api.bodies import BodyReader, Receive
from workers.serving.api.entry import Scope, Send, context_of
from workers.serving.catalogue import ServedCatalogue
from workers.serving.coordinator import Asked, Coordinator, Picture
from workers.serving.edge.refusal import refuse_early
from workers.serving.presence import PRESENCE
from workers.serving.problems import Problem

OWN_WORKERS = "the workers of this service"
"""The caller's name of workers that the service has started; no token can have it, for it has spaces."""


class Analyze:
    """The endpoint, as an ASGI application: a request object for each call would cost more than it gives."""

    def __init__(
        self,
        *,
        catalogue: ServedCatalogue,
        coordinator: Coordinator,
        gate: Gate,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        """`gate`: of the service, in requests and in bytes of their bodies."""
        self._catalogue = catalogue
        self._coordinator = coordinator
        self._gate = gate
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope)
        begun_s = asyncio.get_running_loop().time()
        caller = context.check("analyze")
        options = read_options(scope, self._catalogue, max_timeout_s=self._settings.request_timeout_s)
        length_bytes = options.length_bytes or 0
        with admitted(
            self._gate, options.models, options.lane, length_bytes, metrics=self._metrics
        ) as admission:
            problem = self._too_large(options) or admission.refusal
            if problem is not None:
                # Its client may go on sending for a while, and must not keep others out meanwhile.
                admission.leave()
                await refuse_early(scope, receive, send, problem, request_id=context.request_id)
                return
            pictures, several = await self._reader(receive, options, admission).read()
            asked = Asked(
                client=caller,
                lane=options.lane,
                trace=context.trace,
                deadline_s=begun_s + options.timeout_s,
                top_k=options.top_k,
                vectors=options.vectors,
            )
            reads_files = caller == OWN_WORKERS or bool(self._settings.file_roots)
            requests = admission.requests(pictures, refused=None if reads_files else _refused_file)
            answers = await self._coordinator.analyze(pictures, requests, asked, client=scope[PRESENCE])
        await send_answers(answers, send, several=several, request_id=context.request_id)

    def _too_large(self, options: Options) -> Problem | None:
        most_bytes = self._settings.max_request_bytes
        if (options.length_bytes or 0) <= most_bytes:
            return None
        return Problem(
            slug="too-large",
            detail=f"the body has {options.length_bytes} bytes",
            parameter="Content-Length",
            value=options.length_bytes,
            allowed=f"{most_bytes} bytes",
        )

    def _reader(self, receive: Receive, options: Options, admission: Admission) -> BodyReader:
        def arrived(size_bytes: int) -> None:
            # A declared length has its room already.
            if options.length_bytes is None and not admission.resize(size_bytes):
                raise Problem(
                    slug="gate-full",
                    detail="the service has no room for more bytes of bodies",
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


def _refused_file(picture: Picture) -> Problem | None:
    """Return the problem of a picture that names a file of this machine.

    On one machine the workers may read any file, for a person has submitted it; a client of the service may
    read only what a setting names.
    """
    if picture.uri[:5].lower() != "file:":
        return None
    return Problem(
        slug="rejected-image",
        detail="files of this machine are not read for clients; send the bytes",
        parameter="uri",
        value=picture.uri,
        allowed="file:// below the folders of the setting file_roots, which is empty",
        reason="path_not_allowed",
    )
