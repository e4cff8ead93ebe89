"""`GET /v1/search`: images by the labels and scores of the active models."""

from __future__ import annotations

from typing import Any, get_origin

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from workers.inspection.search import Question, answer_json, ask
from workers.serving.api.app import ApiRoute
from workers.serving.api.queries import query_values
from workers.serving.api.schemas_reading import SearchParameters
from workers.serving.api.stored import answer_stored
from workers.serving.problems import Problem
from workers.serving.reading import Readers, ReadingParts

PATH = "/v1/search"

_FIELDS = {field.alias or name: field for name, field in SearchParameters.model_fields.items()}
_REPEATABLE = {name for name, field in _FIELDS.items() if get_origin(field.annotation) is tuple}


def search_route(readers: Readers) -> ApiRoute:
    """Return the route of `GET /v1/search`."""

    async def search_images(request: Request) -> Response:
        question = _question(request)
        return await answer_stored(readers, lambda parts: _read(parts, question))

    return ApiRoute(PATH, search_images, methods=["GET"], needs="read")


def _question(request: Request) -> Question:
    """Return the question that the query string asks. Raises: Problem."""
    values = query_values(request.scope["query_string"], known=_FIELDS, repeatable=_REPEATABLE)
    arguments = {name: given if name in _REPEATABLE else given[0] for name, given in values.items()}
    try:
        parameters = SearchParameters.model_validate(arguments)
    except ValidationError as error:
        raise _mistaken(error, arguments) from None
    return Question(
        all_of=parameters.all_of,
        any_of=parameters.any_of,
        min_probability=parameters.min_probability,
        scores=parameters.score,
        order=parameters.order,
        limit=parameters.limit,
        cursor=parameters.cursor,
    )


def _mistaken(error: ValidationError, arguments: dict[str, Any]) -> Problem:
    fault = error.errors(include_url=False)[0]
    name = str(fault["loc"][0])
    value = arguments[name]
    remark = fault["msg"].removeprefix("Input ").removeprefix("Value ")
    # Of a list that is too long, its length says more than its elements.
    shown = f"{name} is there {len(value)} times" if isinstance(value, list) else f"{name} is {value!r}"
    return Problem(
        slug="invalid-parameter",
        detail=f"{shown}: {remark[:1].lower()}{remark[1:]}",
        parameter=name,
        value=len(value) if isinstance(value, list) else value,
        allowed=_FIELDS[name].description,
    )


def _read(parts: ReadingParts, question: Question) -> dict[str, Any]:
    return answer_json(ask(question, store=parts.store, search=parts.search))
