"""Every operation of the API in one table, with its parameters, examples and problems."""

from __future__ import annotations

from collections.abc import Mapping

from panopticon.messages import MAX_IMAGE_ID_BYTES, Lane
from workers.serving.access.token_file import Scope
from workers.serving.api.analyze.options import MAX_TOP_K
from workers.serving.api.bodies import FORM, JSON, MAX_JSON_BYTES
from workers.serving.api.openapi.operation import Json, Operation, Parameter, PlainSchemas, Success
from workers.serving.api.schemas import (
    AnalysisProblem,
    Hosts,
    ImageAnalyses,
    ImageAnalysis,
    Live,
    ProblemKind,
    ProblemKinds,
    Ready,
    ServedModel,
    ServedModels,
)
from workers.serving.api.schemas_reading import ImageAnswer, SearchAnswer, SearchParameters
from workers.serving.problem_kinds import CATALOGUE
from workers.serving.problems import Problem

PATH = "/openapi.json"
READING = ("deadline", "store-down")
"""Problems of what reads the store; `busy` is one of every operation."""
MODEL_NAME = "^[a-z][a-z0-9]{0,31}(@[1-9][0-9]{0,8})?$"
VERSION_NAME = "^[a-z][a-z0-9]{0,31}@[1-9][0-9]{0,8}$"
BINARY = {"type": "string", "format": "binary"}
"""A file as most generators of clients know it; OpenAPI 3.1 itself needs no schema for one."""

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
        "quality@1": {"error": Problem(slug="model-down", detail="quality@1: it is starting").as_dict()},
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


def _search_parameters() -> tuple[Parameter, ...]:
    """Return the parameters of a search, from the model that reads them."""
    properties = SearchParameters.model_json_schema(schema_generator=PlainSchemas)["properties"]
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
        problems=("invalid-parameter", "not-found", "conflict", "store-down"),
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
