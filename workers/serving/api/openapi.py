"""The OpenAPI 3.1 document: every operation in one table, with the schemas and the kinds of problem."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from panopticon.messages import MAX_IMAGE_ID_BYTES, Lane
from workers.serving.access.token_file import Scope
from workers.serving.api.analyze import MAX_TOP_K
from workers.serving.api.app import ApiRoute
from workers.serving.api.bodies import FORM, JSON, MAX_JSON_BYTES, UriImage, UriImages
from workers.serving.api.schemas import (
    AnalysisProblem,
    Hosts,
    ImageAnalyses,
    ImageAnalysis,
    Live,
    Problem,
    ProblemKind,
    ProblemKinds,
    Ready,
    ServedModel,
    ServedModels,
)
from workers.serving.api.schemas_reading import ImageAnswer, SearchAnswer, SearchParameters
from workers.serving.problems import CATALOGUE, MEDIA_TYPE, Kind
from workers.serving.problems import Problem as RaisedProblem

PATH = "/openapi.json"
DIALECT = "3.1.0"
API_VERSION = "1"
"""The version of the API, which is also in its paths."""

EVERYWHERE = ("malformed-request", "request-timeout", "headers-too-large", "internal-error", "busy")
"""Problems of every operation: they are found before the path is known, or are bugs."""
GUARDED = ("unauthorized", "forbidden")
READING = ("deadline", "store-down")
"""Problems of what reads the store; `busy` is one of every operation."""
MODEL_NAME = "^[a-z][a-z0-9]{0,31}(@[1-9][0-9]{0,8})?$"
VERSION_NAME = "^[a-z][a-z0-9]{0,31}@[1-9][0-9]{0,8}$"
BINARY = {"type": "string", "format": "binary"}
"""A file as most generators of clients know it; OpenAPI 3.1 itself needs no schema for one."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of the path or the query, or a header."""

    name: str
    where: str
    description: str
    schema: Mapping[str, Any]
    is_repeated: bool = False
    """True if the values of an array are given one by one; else they are one text, with commas."""
    example: object = None

    def as_json(self) -> Json:
        """Return the parameter object."""
        parameter: Json = {
            "name": self.name,
            "in": self.where,
            "description": self.description,
            "schema": dict(self.schema),
        }
        if self.where == "path":
            parameter["required"] = True
        if self.schema["type"] == "array":
            parameter |= {"style": "form", "explode": self.is_repeated}
        if self.example is not None:
            parameter["example"] = self.example
        return parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """An answer that is not a problem."""

    status: int = 200
    description: str
    models: Sequence[type[BaseModel]] = ()
    """The schema, or several if the request decides which one it is."""
    media_type: str = JSON
    example: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, with everything that it may answer."""

    method: str
    path: str
    name: str
    summary: str
    description: str = ""
    group: str
    scope: Scope | None = None
    """The scope that a token needs; None if no token is needed."""
    parameters: Sequence[Parameter] = ()
    body: Mapping[str, Any] | None = None
    successes: Sequence[Success]
    problems: Sequence[str] = ()
    """Slugs of the problems besides those of every operation."""
    problem_model: type[BaseModel] = Problem
    problem_statuses: frozenset[int] = field(default_factory=frozenset)
    """The statuses whose problems are of `problem_model`."""

    def models(self) -> Iterable[type[BaseModel]]:
        """Yield every model that the operation refers to."""
        yield self.problem_model
        for success in self.successes:
            yield from success.models


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

ANALYZE_PARAMETERS = (
    Parameter(
        name="models",
        where="query",
        description=(
            "Models that are to answer, with commas or repeated; without it every model. A name without a "
            "version stands for the active version, or the highest one if that is not ready"
        ),
        schema={"type": "array", "items": {"type": "string", "pattern": MODEL_NAME}},
        example=["tagger", "quality@1"],
    ),
    Parameter(
        name="top_k",
        where="query",
        description="The most tags in an answer; without it all that the policy keeps",
        schema={"type": "integer", "minimum": 0, "maximum": MAX_TOP_K},
        example=5,
    ),
    Parameter(
        name="vectors",
        where="query",
        description="Whether answers have the vector too, as a worker stores it",
        schema={"type": "boolean", "default": False},
        example=True,
    ),
    Parameter(
        name="X-Panopticon-Lane",
        where="header",
        description="`live` for somebody who waits; `backfill` takes at most half the room of a model",
        schema={"type": "string", "enum": [lane.value for lane in Lane], "default": Lane.LIVE.value},
        example=Lane.LIVE.value,
    ),
    Parameter(
        name="X-Request-Timeout-Ms",
        where="header",
        description=(
            "Time in which the answer is of use, from the arrival of the headers; more than the setting "
            "`request_timeout_s` counts as that"
        ),
        schema={"type": "integer", "minimum": 1},
        example=20000,
    ),
)

MODEL = Parameter(
    name="name",
    where="path",
    description="A model, or one of its versions",
    schema={"type": "string", "pattern": MODEL_NAME},
    example="tagger",
)
VERSION = Parameter(
    name="name",
    where="path",
    description="Model and version",
    schema={"type": "string", "pattern": VERSION_NAME},
    example="tagger@1",
)

IMAGE_ID = Parameter(
    name="id",
    where="path",
    description=f"ID of the image, percent-encoded but for slashes: up to {MAX_IMAGE_ID_BYTES} bytes",
    schema={"type": "string", "minLength": 1},
    example="photos/cat.jpg",
)

URI_EXAMPLE = "https://photos.example.org/cat.jpg"
ANALYZE_BODY: Json = {
    "required": True,
    "description": (
        "One image as its bytes, one or several as the files of a form, or the URIs of images that the "
        "service fetches itself. The names of the form's fields do not matter. Bytes with no Content-Type "
        "are an image too; its real type is found in the bytes"
    ),
    "content": {
        "image/*": {"schema": BINARY},
        "application/octet-stream": {"schema": BINARY},
        FORM: {
            "schema": {
                "type": "object",
                "properties": {
                    "image": {"type": "array", "items": BINARY, "minItems": 1, "description": "The images"}
                },
                "required": ["image"],
            },
            "encoding": {"image": {"contentType": "image/*, application/octet-stream"}},
        },
        JSON: {
            "schema": {
                "anyOf": [
                    {"$ref": "#/components/schemas/UriImage"},
                    {"$ref": "#/components/schemas/UriImages"},
                ],
                "description": f"At most {MAX_JSON_BYTES} bytes; a key that is there twice is refused",
            },
            "examples": {
                "one": {"summary": "One image", "value": {"uri": URI_EXAMPLE}},
                "several": {
                    "summary": "Several images",
                    "value": {
                        "images": [{"uri": URI_EXAMPLE}, {"uri": "https://photos.example.org/dog.jpg"}]
                    },
                },
            },
        },
    },
}

_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ANALYSIS_EXAMPLE: Json = {
    "image": {"name": "cat.jpg", "bytes": 183422, "sha256": _DIGEST, "width_px": 1024, "height_px": 768},
    "models": {
        "tagger@1": {
            "model": "tagger",
            "version": 1,
            "digest": _DIGEST,
            "engine": "litert",
            "libraries": "ai-edge-litert 2.1.0",
            "policy_number": 2,
            "tags": [{"label": "tabby", "probability": 0.75, "ancestors": ["cat", "animal"]}],
        },
        "quality@1": {
            "error": RaisedProblem(slug="model-down", detail="quality@1: it is starting").as_dict()
        },
    },
}
MODEL_EXAMPLE: Json = {
    "name": "tagger@1",
    "model": "tagger",
    "version": 1,
    "digest": _DIGEST,
    "task": "tagging",
    "summary": "What a photo shows",
    "state": "ready",
    "reason": "",
    "engine": "litert",
    "libraries": "ai-edge-litert 2.1.0",
    "dim": 1000,
    "best_batch": 8,
    "replicas": 1,
    "ready_replicas": 1,
    "active": True,
    "policy_number": 2,
    "gate": {"max_images": 64, "images": 3, "max_bytes": 268435456, "bytes": 550266},
}


class _Schemas(GenerateJsonSchema):
    """Schemas without the title that repeats each field's name, and without null for what is absent."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = super().default_schema(schema)
        if inner.get("default", ...) is None:
            del inner["default"]
        return inner


def _search_parameters() -> tuple[Parameter, ...]:
    """Return the parameters of a search, from the model that reads them."""
    properties = SearchParameters.model_json_schema(schema_generator=_Schemas)["properties"]
    parameters = []
    for name, found in properties.items():
        # What may be absent in Python is a text in a query.
        schema = {key: value for key, value in found.items() if key not in ("description", "anyOf")}
        schema |= next(iter(found.get("anyOf", [{}])))
        parameters.append(
            Parameter(
                name=name,
                where="query",
                description=f"{found['description'][:1].upper()}{found['description'][1:]}",
                schema=schema,
                is_repeated=True,
                example=SEARCH_EXAMPLES.get(name),
            )
        )
    return tuple(parameters)


SEARCH_EXAMPLES: Mapping[str, object] = {
    "all": ["cat"],
    "min_probability": 0.5,
    "score": ["sharpness=0.1.."],
    "order": "newest",
    "limit": 20,
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path="/v1/analyze",
        name="analyze",
        summary="Analyze images",
        description=(
            "Each model answers for each image, or says in its place why it does not. The status is 200 if "
            "one model answered for one image. Otherwise it is that of the errors, the first of 503, 502, "
            "429 and 422 that is among them, and the problem holds all of them under `models` or `results`. "
            "Nothing is stored."
        ),
        group="analyze",
        scope=Scope.ANALYZE,
        parameters=ANALYZE_PARAMETERS,
        body=ANALYZE_BODY,
        successes=(
            Success(
                description=(
                    "What the models say: one analysis for one image, and a list for JSON with `images` and "
                    "for a form with several files"
                ),
                models=(ImageAnalysis, ImageAnalyses),
                example=ANALYSIS_EXAMPLE,
            ),
        ),
        problems=(
            "malformed-body",
            "invalid-parameter",
            "invalid-header",
            "unknown-model",
            "too-large",
            "too-many-images",
            "unsupported-media-type",
            "rejected-image",
            "gate-full",
            "source-failed",
            "deadline",
            "draining",
            "model-down",
            "store-down",
        ),
        problem_model=AnalysisProblem,
        problem_statuses=frozenset({422, 429, 502, 503}),
    ),
    Operation(
        method="GET",
        path="/v1/models",
        name="list_models",
        summary="List the served versions",
        group="models",
        scope=Scope.READ,
        successes=(
            Success(
                description="Every version, ordered by name",
                models=(ServedModels,),
                example={"models": [MODEL_EXAMPLE]},
            ),
        ),
    ),
    Operation(
        method="GET",
        path="/v1/models/{name}",
        name="show_model",
        summary="Show one served version",
        group="models",
        scope=Scope.READ,
        parameters=(MODEL,),
        successes=(Success(description="The version", models=(ServedModel,), example=MODEL_EXAMPLE),),
        problems=("invalid-parameter", "not-found", "unknown-model"),
    ),
    Operation(
        method="PUT",
        path="/v1/models/{name}",
        name="load_model",
        summary="Load a version",
        description=(
            "Starts the version next to those that are served. GET shows when it is ready. A version that is "
            "served already stays as it is. The request has no body."
        ),
        group="models",
        scope=Scope.OPERATE,
        parameters=(VERSION,),
        successes=(
            Success(status=202, description="It loads", models=(ServedModel,), example=MODEL_EXAMPLE),
        ),
        problems=("invalid-parameter", "not-found", "conflict"),
    ),
    Operation(
        method="DELETE",
        path="/v1/models/{name}",
        name="unload_model",
        summary="Unload a version",
        description="The version takes no new images, finishes those that it has, and its processes end.",
        group="models",
        scope=Scope.OPERATE,
        parameters=(VERSION,),
        successes=(
            Success(
                status=202,
                description="It is being unloaded",
                models=(ServedModel,),
                example={**MODEL_EXAMPLE, "state": "unloading"},
            ),
        ),
        problems=("invalid-parameter", "not-found", "unknown-model"),
    ),
    Operation(
        method="GET",
        path="/v1/images/{id}",
        name="show_image",
        summary="Show what is stored about an image",
        description="The same as `panopticon show ID --json`: outputs, failures, and why it is found or not.",
        group="stored",
        scope=Scope.READ,
        parameters=(IMAGE_ID,),
        successes=(Success(description="Everything that is stored", models=(ImageAnswer,)),),
        problems=("invalid-parameter", "unknown-image", *READING),
    ),
    Operation(
        method="GET",
        path="/v1/search",
        name="search",
        summary="Find images",
        description="The same as `panopticon search --json`, from the parts of the active versions.",
        group="stored",
        scope=Scope.READ,
        parameters=_search_parameters(),
        successes=(Success(description="One page of what was found", models=(SearchAnswer,)),),
        problems=("invalid-parameter", "conflict", *READING),
    ),
    Operation(
        method="GET",
        path="/v1/hosts",
        name="list_hosts",
        summary="List the hosts of this deployment",
        description="For clients that share their requests among them; see the setting `hosts`.",
        group="operation",
        scope=Scope.READ,
        successes=(
            Success(
                description="Their URLs",
                models=(Hosts,),
                example={"hosts": ["http://10.0.0.1:8080", "http://10.0.0.2:8080"], "max_age_s": 30},
            ),
        ),
        problems=("store-down",),
    ),
    Operation(
        method="GET",
        path="/health/live",
        name="live",
        summary="Tell whether the service is alive",
        description="Also on `probe_port`, in a thread of its own.",
        group="operation",
        successes=(
            Success(description="It is", models=(Live,), example={"status": "live"}),
            Success(
                status=503,
                description="Its event loop hangs: start the service again",
                models=(Live,),
                example={"status": "hanging"},
            ),
        ),
    ),
    Operation(
        method="GET",
        path="/health/ready",
        name="ready",
        summary="Tell whether requests should come here",
        description="Also on `probe_port`, in a thread of its own.",
        group="operation",
        successes=(
            Success(
                description="They should",
                models=(Ready,),
                example={"status": "ready", "models": {"tagger@1": "ready"}, "remarks": []},
            ),
            Success(
                status=503,
                description="They should not",
                models=(Ready,),
                example={"status": "not ready", "models": {"tagger@1": "loading"}, "remarks": []},
            ),
        ),
    ),
    Operation(
        method="GET",
        path="/metrics",
        name="metrics",
        summary="Show the metrics of this process",
        description="Also on `probe_port`, in a thread of its own.",
        group="operation",
        successes=(Success(description="In Prometheus' text format", media_type="text/plain"),),
    ),
    Operation(
        method="GET",
        path="/v1/problems",
        name="list_problems",
        summary="List every kind of problem",
        group="about",
        successes=(Success(description="Ordered by status", models=(ProblemKinds,)),),
    ),
    Operation(
        method="GET",
        path="/v1/problems/{slug}",
        name="show_problem",
        summary="Explain one kind of problem",
        description="The `type` of a problem is this path.",
        group="about",
        parameters=(
            Parameter(
                name="slug",
                where="path",
                description="The last part of the `type` of a problem",
                schema={"type": "string", "enum": list(CATALOGUE)},
                example="gate-full",
            ),
        ),
        successes=(
            Success(
                description="What it means, and what to do",
                models=(ProblemKind,),
                example=CATALOGUE["gate-full"].as_dict(),
            ),
        ),
        problems=("not-found",),
    ),
    Operation(
        method="GET",
        path=PATH,
        name="openapi",
        summary="Show this document",
        group="about",
        successes=(Success(description="OpenAPI 3.1", media_type=JSON),),
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
        schema_generator=_Schemas,
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
