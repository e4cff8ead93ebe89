"""The OpenAPI 3.1 document, made from the table of operations, and its route."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from workers.serving.api.app import ApiRoute
from workers.serving.api.bodies import JSON, UriImage, UriImages
from workers.serving.api.openapi.operation import Json, Operation, Parameter, PlainSchemas, Success
from workers.serving.api.openapi.operations import OPERATIONS, PATH
from workers.serving.api.schemas import Problem
from workers.serving.problem_kinds import CATALOGUE, Kind
from workers.serving.problems import MEDIA_TYPE
from workers.serving.problems import Problem as RaisedProblem

DIALECT = "3.1.0"
API_VERSION = "1"
"""The version of the API, which is also in its paths."""

EVERYWHERE = ("malformed-request", "request-timeout", "headers-too-large", "internal-error", "busy")
"""Problems of every operation: they are found before the path is known, or are bugs."""
GUARDED = ("unauthorized", "forbidden")

TRACE_HEADERS = (
    Parameter(
        name="X-Request-Id",
        where="header",
        description=(
            "ID of the request in logs and in problems: 1 to 128 visible ASCII characters. Without one the "
            "service makes one, also in place of another text; the answer has it in the same header"
        ),
        schema={"type": "string"},
        example="order-7-photo-3",
    ),
    Parameter(
        name="traceparent",
        where="header",
        description="W3C trace context, for logs; one of another form is ignored",
        schema={"type": "string"},
        example="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
)

GROUPS = {
    "analyze": "Images in, tags and scores out",
    "models": "The versions that this service runs",
    "stored": "What workers have stored, and search",
    "operation": "Probes, metrics and hosts",
    "about": "This API itself",
}

HEADERS: Json = {
    "RequestId": {"description": "ID of the request, as sent or made", "schema": {"type": "string"}},
    "RetryAfter": {
        "description": "Seconds after which to try again, rounded up",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "Challenge": {
        "description": "What is missing (RFC 6750)",
        "required": True,
        "schema": {"type": "string"},
    },
}


def openapi(operations: Sequence[Operation] = OPERATIONS) -> Json:
    """Return the document."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    slugs = {slug for operation in operations for slug in _slugs(operation)}
    return {
        "openapi": DIALECT,
        "info": {
            "title": "Panopticon",
            "version": API_VERSION,
            "summary": "The models over HTTP",
            "description": (
                "Tags and scores of images, from the model versions that this service runs. Every error is a "
                f"problem document of the type `{MEDIA_TYPE}`; a path takes only the methods listed here, "
                "GET also as HEAD, and answers any other with 405."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This service"}],
        "tags": [{"name": name, "description": text} for name, text in GROUPS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "headers": HEADERS,
            "examples": {
                kind.slug: {"summary": kind.title, "value": _example(kind)}
                for kind in CATALOGUE.values()
                if kind.slug in slugs
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": (
                        "A token from `panopticon tokens add`, with the scope that an operation lists: "
                        "`read` for images, search and models, `analyze` for POST /v1/analyze, `operate` for "
                        "loading and unloading. A service without tokens_file takes no notice of it."
                    ),
                }
            },
        },
    }


def openapi_routes() -> list[BaseRoute]:
    """Return the route of the document, which is built once. It needs no token."""
    body = json.dumps(openapi(), separators=(",", ":"), ensure_ascii=False).encode()

    async def show(_request: Request) -> Response:
        return Response(body, media_type=JSON)

    return [ApiRoute(PATH, show, methods=["GET"])]


def _schemas(operations: Sequence[Operation]) -> Json:
    models: dict[type[BaseModel], None] = dict.fromkeys((Problem, UriImage, UriImages))
    for operation in operations:
        models.update(dict.fromkeys(operation.models()))
    _, schemas = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=PlainSchemas,
    )
    found: Json = schemas["$defs"]
    return found


def _slugs(operation: Operation) -> set[str]:
    return {*EVERYWHERE, *operation.problems, *(GUARDED if operation.scope else ())}


def _operation(operation: Operation) -> Json:
    document: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.group],
        # An empty list says that no token is needed.
        "security": [{"bearer": [operation.scope.value]}] if operation.scope else [],
        "parameters": [parameter.as_json() for parameter in (*operation.parameters, *TRACE_HEADERS)],
        "responses": _responses(operation),
    }
    description = operation.description
    if operation.scope:
        description = f"{description}\n\nScope: `{operation.scope}`.".lstrip()
    if description:
        document["description"] = description
    if operation.body is not None:
        document["requestBody"] = dict(operation.body)
    return document


def _responses(operation: Operation) -> Json:
    responses: dict[int, Json] = {}
    for success in operation.successes:
        responses[success.status] = _success(success)
    slugs = _slugs(operation)
    kinds: dict[int, list[Kind]] = {}
    for kind in CATALOGUE.values():
        if kind.slug in slugs:
            kinds.setdefault(kind.status, []).append(kind)
    for status, found in kinds.items():
        model = operation.problem_model if status in operation.problem_statuses else Problem
        problem = _problem(status, found, model)
        if status in responses:
            # A probe that is not well, or the server that refuses it: their types tell them apart.
            responses[status]["content"] |= problem["content"]
            responses[status]["description"] += f". Or: {problem['description']}"
        else:
            responses[status] = problem
    return {str(status): responses[status] for status in sorted(responses)}


def _success(success: Success) -> Json:
    refs = [{"$ref": f"#/components/schemas/{model.__name__}"} for model in success.models]
    schema: Json = {"type": "string"} if success.media_type != JSON else {"type": "object"}
    if refs:
        schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    content: Json = {"schema": schema}
    if success.example is not None:
        content["example"] = success.example
    return {
        "description": success.description,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
        "content": {success.media_type: content},
    }


def _problem(status: int, kinds: Sequence[Kind], model: type[BaseModel]) -> Json:
    headers = {"X-Request-Id": "RequestId"}
    if status in (429, 503):
        headers["Retry-After"] = "RetryAfter"
    if status in (401, 403):
        headers["WWW-Authenticate"] = "Challenge"
    listed = "; ".join(f"`{kind.slug}`: {kind.title[:1].lower()}{kind.title[1:]}" for kind in kinds)
    return {
        "description": f"{HTTPStatus(status).phrase}. {listed}",
        "headers": {name: {"$ref": f"#/components/headers/{ref}"} for name, ref in headers.items()},
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{model.__name__}"},
                "examples": {kind.slug: {"$ref": f"#/components/examples/{kind.slug}"} for kind in kinds},
            }
        },
    }


def _example(kind: Kind) -> Json:
    return RaisedProblem(slug=kind.slug, detail=kind.meaning).as_dict("5f1c0e6b7a9d4c3e2b1a0f9e")
