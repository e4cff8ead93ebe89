"""`/v1/models`: the served versions, and loading and unloading one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from panopticon.cards.cards import ModelCard
from panopticon.errors import UsageError
from panopticon.models import parse_version
from panopticon.results.outputs import VersionName
from workers.serving.api.entry import context_of
from workers.serving.catalogue import ServedCatalogue
from workers.serving.policies import Policies
from workers.serving.problems import Problem
from workers.serving.served_model import ServedModel

log = logging.getLogger(__name__)


class Models:
    """The endpoints."""

    def __init__(
        self,
        catalogue: ServedCatalogue,
        policies: Policies,
        *,
        card_of: Callable[[VersionName], ModelCard],
        refuse: Callable[[Sequence[ModelCard]], None],
        prepare: Callable[[ModelCard], None],
    ) -> None:
        """`card_of` returns the card of a version, `prepare` does all that its processes need.

        `refuse` raises UsageError if this machine cannot run these versions together, and must not block. The
        other two may block, and raise UsageError if they cannot.
        """
        self._catalogue = catalogue
        self._policies = policies
        self._card_of = card_of
        self._prepare = prepare
        self._refuse = refuse

    async def list(self, _request: Request) -> Response:
        """Answer `GET /v1/models`."""
        return JSONResponse({"models": [self._as_json(served) for served in self._catalogue]})

    async def show(self, request: Request) -> Response:
        """Answer `GET /v1/models/{name}`."""
        context_of(request.scope).check("read")
        return JSONResponse(self._as_json(self._find(request.path_params["name"])))

    async def load(self, request: Request) -> Response:
        """Answer `PUT /v1/models/{name}`: start a version next to those that are served."""
        caller = context_of(request.scope).check("operate")
        name = request.path_params["name"]
        try:
            version = parse_version(name)
        except UsageError as error:
            raise Problem(slug="invalid-parameter", detail=str(error), parameter="name", value=name) from None
        try:
            card = await run_in_threadpool(self._card_of, version)
        except UsageError as error:
            raise Problem(slug="unknown-model", detail=str(error), parameter="name", value=name) from None
        try:
            await run_in_threadpool(self._policies.check, card)
        except UsageError as error:
            raise _conflict(
                error, name, allowed="a version with its registered digest and a valid policy"
            ) from None
        # After the waits, in which another version may have been loaded.
        cards = {each.version: each.card for each in self._catalogue}
        try:
            self._refuse(list({**cards, version: card}.values()))
        except UsageError as error:
            raise _conflict(
                error, name, allowed="a version that has room; unload another one before"
            ) from None
        served = self._catalogue.load(card, prepare=partial(self._prepare, card))
        log.info("%s: asked for by %s", version, caller)
        return JSONResponse(self._as_json(served), 202)

    async def unload(self, request: Request) -> Response:
        """Answer `DELETE /v1/models/{name}`: finish what the version has, then end its processes."""
        caller = context_of(request.scope).check("operate")
        name = request.path_params["name"]
        if "@" not in name:
            raise Problem(
                slug="invalid-parameter",
                detail="name the version that is to be unloaded",
                parameter="name",
                value=name,
                allowed=[str(served.version) for served in self._catalogue],
            )
        served = self._find(name)
        self._catalogue.unload(served)
        log.info("%s: to be unloaded, asked for by %s", served.version, caller)
        return JSONResponse(self._as_json(served), 202)

    def _find(self, name: str) -> ServedModel:
        try:
            return self._catalogue.find(name)
        except Problem as problem:
            # Here it is part of the path.
            problem.parameter = "name"
            raise

    def _as_json(self, served: ServedModel) -> dict[str, Any]:
        hello, card, gate = served.hello, served.card, served.gate
        return {
            "name": str(served.version),
            "model": card.name,
            "version": card.version,
            "digest": card.digest,
            "task": card.task,
            "summary": card.summary,
            "state": served.state.value,
            "reason": served.down.reason if served.down else "",
            "engine": hello.engine if hello else "",
            "libraries": hello.libraries if hello else "",
            "dim": len(card.labels),
            "best_batch": hello.best_batch if hello else 0,
            "replicas": served.replicas,
            "ready_replicas": served.ready_replicas,
            "active": self._policies.active(card.name) == served.version,
            "policy_number": self._policies.number(served.version) or 0,
            "gate": {
                "max_images": gate.max_places,
                "images": gate.places,
                "max_bytes": gate.max_bytes,
                "bytes": gate.bytes,
            },
        }


def _conflict(error: UsageError, name: str, *, allowed: str) -> Problem:
    return Problem(slug="conflict", detail=str(error), parameter="name", value=name, allowed=allowed)
