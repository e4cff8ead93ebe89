"""One operation of the API as the OpenAPI document describes it: parameters, answers, problems, schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from workers.serving.access.token_file import Scope
from workers.serving.api.bodies import JSON
from workers.serving.api.schemas import Problem

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


class PlainSchemas(GenerateJsonSchema):
    """Schemas without the title that repeats each field's name, and without null for what is absent."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = super().default_schema(schema)
        if inner.get("default", ...) is None:
            del inner["default"]
        return inner
