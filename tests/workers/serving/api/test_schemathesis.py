from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from schemathesis import Case, CheckFunction, GenerationMode, HookContext
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from panopticon.settings import Settings
from tests.contracts.examples import TAGGER
from tests.house import house_of
from tests.pictures import encoded, photo
from tests.workers.serving.running import RunningService, running
from workers.serving.access.token_file import Scope, add_token
from workers.serving.api.openapi.document import openapi
from workers.serving.api.openapi.operation import Operation
from workers.serving.api.openapi.operations import OPERATIONS

SERVED, SPARE = "null@1", "counting@1"
IMAGE_ID = "photos/cat.jpg"
ANALYZE_CASES, CASES, NEGATIVE_CASES = 80, 15, 12
CONFORMANCE = (
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)

PICTURES = [
    encoded(photo(32, 24, seed=seed), name) for seed, name in itertools.product(range(3), ("JPEG", "PNG"))
]
DAMAGED = [
    PICTURES[0][:200],
    PICTURES[1][:-30],
    PICTURES[0].replace(b"\xff\xda", b"\xff\xd9"),
    b"GIF89a",
    b"text",
]


Strategy = st.SearchStrategy[Any]
AnyCase = Case[Any]
Given = dict[str, Any] | None


def mostly(usual: Strategy, odd: Strategy) -> Strategy:
    """Return a strategy that draws four of five values from the first one."""
    return st.integers(0, 4).flatmap(lambda number: odd if number == 4 else usual)


pictures = mostly(st.sampled_from(PICTURES), st.sampled_from(DAMAGED) | st.binary(max_size=64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The service, a token that allows everything, and the folder with a picture."""

    service: RunningService
    token: str
    folder: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("schemathesis")
    tokens = folder / "tokens.toml"
    token = add_token(tokens, "everything", frozenset(Scope), expires=None, now=datetime.now(UTC))
    (folder / "good.jpg").write_bytes(PICTURES[0])
    (folder / "bad.jpg").write_bytes(DAMAGED[0])
    database = f"sqlite:///{folder / 'service.db'}"
    with house_of(Settings(database=database, cache_dir=folder / "cache")) as house:
        house.register(TAGGER)
        house.plant(IMAGE_ID, outputs={TAGGER: {"tabby": 0.75}})
    with running(folder, SERVED, SPARE, tokens_file=tokens, file_roots=[folder]) as service:
        yield Place(service=service, token=token, folder=folder)


KNOWN_PATH = {"name": SERVED, "id": IMAGE_ID}
KNOWN_QUERY = {
    "models": ["null", SERVED],
    "all": ["tabby"],
    "any": ["tabby", "cat"],
    "score": [],
    "order": "newest",
    "cursor": "",
}


def described() -> schemathesis.BaseSchema:
    """Return the document, with served models in its examples: to load the real ones takes minutes."""
    text = json.dumps(openapi()).replace("tagger@1", SERVED).replace("quality@1", SERVED)
    # Every refusal will do: a form with many odd parts is too large, for instance.
    config = schemathesis.Config.from_dict(
        {"checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}}}
    )
    document = json.loads(text.replace('"tagger"', '"null"'))
    return schemathesis.openapi.from_dict(document, config=config)


def make_usual(schema: schemathesis.BaseSchema, folder: Path) -> None:
    """Make most generated requests such as a service gets: with names that it knows, and real pictures."""
    uris = [f"file://{folder}/{name}.jpg" for name in ("good", "good", "good", "bad", "missing")]
    one_uri = st.builds(lambda uri: {"uri": uri}, st.sampled_from(uris))
    bodies = {
        "image/*": pictures,
        "application/octet-stream": pictures,
        "multipart/form-data": st.lists(pictures, min_size=1, max_size=3).map(lambda found: {"image": found}),
        "application/json": one_uri
        | st.lists(one_uri, min_size=1, max_size=3).map(lambda found: {"images": found}),
    }

    @schema.hook
    def flatmap_path_parameters(context: HookContext, path_parameters: Given) -> Strategy:
        assert context.operation is not None
        known: dict[str, Any] = dict(KNOWN_PATH)
        if context.operation.method.upper() in ("PUT", "DELETE"):
            known["name"] = SPARE
        given = path_parameters or {}
        usual = {name: known.get(name, value) for name, value in given.items()}
        # The model of all the other requests must stay.
        if known.get("name") == SPARE and str(given.get("name", "")).startswith("null"):
            return st.just(usual)
        return mostly(st.just(usual), st.just(path_parameters))

    @schema.hook
    def flatmap_query(_context: HookContext, query: Given) -> Strategy:
        usual = {name: KNOWN_QUERY.get(name, value) for name, value in (query or {}).items()}
        return mostly(st.just(usual), st.just(query))

    @schema.hook
    def map_headers(_context: HookContext, headers: Given) -> dict[str, Any]:
        # A short time would be over before the answer, and rightly so; there are tests of that.
        return {
            name: value for name, value in (headers or {}).items() if name.lower() != "x-request-timeout-ms"
        }

    @schema.hook
    def flatmap_case(_context: HookContext, case: AnyCase) -> st.SearchStrategy[AnyCase]:
        def put(body: Any) -> AnyCase:
            case.body = body
            return case

        if case.media_type not in bodies:
            return st.just(case)
        return mostly(bodies[case.media_type].map(put), st.just(case))


def hold_to_its_models(operation: Operation, response: Response) -> None:
    """Fail unless the answer has exactly what one of the operation's models has."""
    for success in operation.successes:
        if success.status == response.status_code and success.models:
            faults = []
            for model in success.models:
                try:
                    model.model_validate_json(response.content)
                    return
                except ValidationError as error:
                    faults.append(str(error))
            pytest.fail("\n".join(faults))


def ask_many(
    place: Place,
    schema: schemathesis.BaseSchema,
    operation: Operation,
    checks: Sequence[CheckFunction],
    *,
    mode: GenerationMode,
    cases: int,
) -> Counter[int]:
    """Send so many generated requests, the same in every run, check each answer, and count their statuses."""
    statuses: Counter[int] = Counter()

    # Health checks are about speed.
    @settings(max_examples=cases, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
    @given(case=schema[operation.path][operation.method].as_strategy(generation_mode=mode))
    def ask(case: AnyCase) -> None:
        headers = {"Authorization": f"Bearer {place.token}"} if operation.scope else {}
        response = case.call(base_url=place.service.url, headers=headers, timeout=60)
        statuses[response.status_code] += 1
        # Nothing here is down, full or late.
        assert response.status_code < 500 or response.status_code == 502, response.text
        case.validate_response(response, checks=[*checks])
        hold_to_its_models(operation, response)

    ask()
    return statuses


def test_requests_by_the_document_get_answers_by_the_document(place: Place) -> None:
    schema = described()
    make_usual(schema, place.folder)
    statuses: Counter[int] = Counter()
    for operation in OPERATIONS:
        cases = ANALYZE_CASES if operation.name == "analyze" else CASES
        statuses += ask_many(place, schema, operation, CONFORMANCE, mode=GenerationMode.POSITIVE, cases=cases)
    successes = sum(number for status, number in statuses.items() if status < 300)
    assert statuses.total() >= 200
    assert successes * 2 >= statuses.total(), statuses
    assert "Traceback" not in place.service.logged


def test_requests_against_the_document_are_refused_by_the_document(place: Place) -> None:
    schema = described()
    for operation in OPERATIONS:
        # Nothing can be wrong with a request that has only headers, which are any text.
        if operation.parameters:
            checks = [*CONFORMANCE, negative_data_rejection]
            ask_many(place, schema, operation, checks, mode=GenerationMode.NEGATIVE, cases=NEGATIVE_CASES)
    assert place.service.get("/health/ready").status == 200
    assert "Traceback" not in place.service.logged
