"""The contract of the answers: for the OpenAPI document, and for tests that hold the service to it.

The service writes its answers as plain dictionaries, and validates none of them while it runs. A key that
does not apply is absent, never null, unless its type says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from workers.serving.problem_kinds import CATALOGUE, PATH
from workers.serving.served_model import ModelState

Absent = SkipJsonSchema[None]
"""Marks a field that an answer may lack; the schema does not allow null for it."""

Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _let_grow(schema: dict[str, Any]) -> None:
    """Allow further keys in the published schema: a client passes over those that it does not know."""
    schema.pop("additionalProperties", None)


class Answer(BaseModel):
    """The base of all answers. This release puts nothing in them that is not described here."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, json_schema_extra=_let_grow)


class Problem(Answer):
    """An error, as a problem document (RFC 9457)."""

    type: str = Field(
        description="Path of the page that documents this kind of problem",
        json_schema_extra={"enum": [f"{PATH}/{slug}" for slug in CATALOGUE]},
    )
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="The fault, in one sentence for a log")
    request_id: str | Absent = Field(default=None, description="ID under which the log has the request")
    reason: str | Absent = Field(default=None, description="Reason code of a rejected image, for instance")
    component: str | Absent = Field(default=None, description="Part of the service that does not work")
    parameter: str | Absent = Field(default=None, description="Parameter, header or field that is wrong")
    value: Any = Field(default=None, description="Its value, cut if it is long")
    allowed: Any = Field(default=None, description="A list of what is taken, a limit, or a sentence")
    retry_after_ms: Natural | Absent = Field(default=None, description="Time after which to try again")


class Tag(Answer):
    """A label that the policy keeps."""

    label: str
    probability: float = Field(ge=0, le=1)
    ancestors: list[str] = Field(description="Broader terms, the nearest first")


class _Said(Answer):
    model: str
    version: Positive
    digest: Sha256
    engine: str
    libraries: str
    policy_number: Natural = Field(description="Number of the policy; 0 is that of the model's card")
    vector: list[float] | Absent = Field(default=None, description="The stored vector, if it was asked for")


class Tagged(_Said):
    """The answer of a tagging model about an image."""

    tags: list[Tag] = Field(description="The likeliest first")


class Scored(_Said):
    """The answer of a scoring model about an image."""

    scores: dict[str, float]


class Failed(Answer):
    """The reason for which a model says nothing about an image."""

    error: Problem


class ImageFacts(Answer):
    """The image as it was sent, and as it was read."""

    name: str | Absent = Field(default=None, description="File name in the form")
    uri: str | Absent = None
    bytes: Positive | Absent = Field(default=None, description="Size of what was sent; absent for a URI")
    sha256: Sha256 | Absent = Field(default=None, description="Of the encoded image; absent if no model ran")
    width_px: Positive | Absent = None
    height_px: Positive | Absent = None


class ImageAnalysis(Answer):
    """The models' answers about one image."""

    image: ImageFacts
    models: dict[str, Tagged | Scored | Failed] = Field(description="By model and version, as in tagger@1")


class ImageAnalyses(Answer):
    """The models' answers about several images, in the order in which they were sent."""

    results: list[ImageAnalysis]


class AnalysisProblem(Problem):
    """An error of an analysis. If images were read, it holds what each model said about each of them."""

    image: ImageFacts | Absent = None
    models: dict[str, Failed] | Absent = None
    results: list[ImageAnalysis] | Absent = None


class GateState(Answer):
    """The images that a model has admitted, and the most that it admits."""

    max_images: int
    images: int
    max_bytes: int
    bytes: int


class ServedModel(Answer):
    """One version of a model that this service runs."""

    name: str = Field(description="Model and version, as in tagger@1")
    model: str
    version: Positive
    digest: Sha256
    task: Literal["tagging", "scoring"]
    summary: str
    state: ModelState
    reason: str = Field(description="Why it is down; empty if it is not")
    engine: str = Field(description="Empty until the model has loaded")
    libraries: str = Field(description="Empty until the model has loaded")
    dim: Positive = Field(description="Length of its vectors")
    best_batch: Natural = Field(description="0 until the model has loaded")
    replicas: Positive
    ready_replicas: Natural
    active: bool = Field(description="Whether the registry names it the active version")
    policy_number: Natural = Field(description="Number of its policy; 0 is that of its card")
    gate: GateState


class ServedModels(Answer):
    """Every version that this service runs."""

    models: list[ServedModel]


class Hosts(Answer):
    """The hosts among which a client shares its requests."""

    hosts: list[str]
    max_age_s: float = Field(ge=0, description="Time for which a client may use this list")


class Live(Answer):
    """The state of the event loop."""

    status: Literal["live", "hanging"]


class Ready(Answer):
    """The state of the service: should new requests come here?"""

    status: Literal["ready", "not ready", "draining"]
    models: dict[str, ModelState] = Field(description="State of each served version")
    remarks: list[str] = Field(description="What a person should know, though the service is ready")


class ProblemKind(Answer):
    """One kind of problem: its meaning, and what a client does about it."""

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    meaning: str
    way_out: str


class ProblemKinds(Answer):
    """Every kind of problem."""

    problems: list[ProblemKind]
