from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from schemathesis import Case, GenerationMode, HookContext
from schemathesis.core.transport import Response

from panopticon.settings import Settings
from tests.contracts.examples import TAGGER
from tests.house import house_of
from tests.pictures import encoded, photo
from tests.workers.serving.running import RunningService, running
from workers.serving.access.token_file import Scope, add_token
from workers.serving.api.openapi import OPERATIONS, Operation, openapi

SERVED, SPARE = "null@1", "counting@1"
IMAGE_ID = "photos/cat.jpg"
CASES = {GenerationMode.POSITIVE: 24, GenerationMode.NEGATIVE: 8}
ANALYZE_CASES = {GenerationMode.POSITIVE: 100, GenerationMode.NEGATIVE: 40}

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


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What makes of generated requests such as a service gets: names that it knows, and real pictures."""

    folder: Path

    def register(self, schema: schemathesis.BaseSchema) -> None:
        schema.hook("flatmap_path_parameters")(self.path_parameters)
        schema.hook("flatmap_query")(self.query)
        schema.hook("map_headers")(self.headers)
        schema.hook("flatmap_case")(self.case)

    def path_parameters(self, context: HookContext, given: dict[str, Any]) -> st.SearchStrategy[Any]:
        operation = context.operation
        assert operation is not None
        known = {"name": SPARE if operation.method.upper() in ("PUT", "DELETE") else SERVED, "id": IMAGE_ID}
        better = {name: known.get(name, value) for name, value in given.items()}
        return mostly(st.just(better), st.just(given))

    def query(self, _context: HookContext, given: dict[str, Any]) -> st.SearchStrategy[Any]:
        known = {
            "models": ["null", SERVED],
            "all": ["tabby"],
            "any": ["tabby", "cat"],
            "score": [],
            "order": "newest",
            "cursor": "",
        }
        better = {name: known.get(name, value) for name, value in given.items()}
        return mostly(st.just(better), st.just(given))

    def headers(self, _context: HookContext, given: dict[str, Any]) -> dict[str, Any]:
        # A short time would be over before the answer; that is a right answer, and tested elsewhere.
        return {name: value for name, value in given.items() if name.lower() != "x-request-timeout-ms"}

    def case(self, _context: HookContext, case: Case) -> st.SearchStrategy[Case]:
        """Put pictures, or URIs of pictures, in the place of four of five bodies that could be read."""
        uris = st.sampled_from(
            [f"file://{self.folder}/{name}.jpg" for name in ("good", "good", "good", "bad", "no")]
        )
        match case.media_type:
            case "image/*" | "application/octet-stream":
                bodies: st.SearchStrategy[Any] = pictures
            case "multipart/form-data":
                bodies = st.lists(pictures, min_size=1, max_size=3).map(lambda found: {"image": found})
            case "application/json":
                one = st.builds(lambda uri: {"uri": uri}, uris)
                bodies = one | st.lists(one, min_size=1, max_size=3).map(lambda found: {"images": found})
            case _:
                return st.just(case)

        def put(body: Any) -> Case:
            case.body = body
            return case

        return mostly(bodies.map(put), st.just(case))


@dataclass(kw_only=True)
class Tally:
    """What came back, over all cases."""

    statuses: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def count(self, operation: Operation, mode: GenerationMode, response: Response) -> None:
        self.statuses[operation.name, mode.value, response.status_code] += 1

    @property
    def cases(self) -> int:
        return self.statuses.total()

    @property
    def successes(self) -> int:
        return sum(number for (*_, status), number in self.statuses.items() if 200 <= status < 300)


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
    place: Place, schema: schemathesis.BaseSchema, operation: Operation, mode: GenerationMode, tally: Tally
) -> None:
    described = schema[operation.path][operation.method]
    cases = (ANALYZE_CASES if operation.name == "analyze" else CASES)[mode]
    strategy = described.as_strategy(generation_mode=mode)

    @settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def ask(case: Case) -> None:
        response = case.call(
            base_url=place.service.url, headers={"Authorization": f"Bearer {place.token}"}, timeout=60
        )
        tally.count(operation, mode, response)
        assert response.status_code < 500 or response.status_code == 502, response.text
        case.validate_response(
            response,
            checks=[
                schemathesis.checks.not_a_server_error,
                *(check for check in CONFORMANCE),
            ],
        )
        hold_to_its_models(operation, response)

    ask()


def test_generated_requests_get_the_answers_of_the_document(place: Place) -> None:
    schema = schemathesis.openapi.from_dict(openapi())
    Hooks(folder=place.folder).register(schema)
    tally = Tally()
    for operation in OPERATIONS:
        for mode in CASES:
            # Nothing is invalid in a request that has neither a parameter nor a body.
            if mode is GenerationMode.POSITIVE or operation.parameters:
                ask_many(place, schema, operation, mode, tally)
    assert tally.cases > 300
    assert tally.successes * 2 >= tally.cases, tally.statuses
    assert place.service.model("null")["state"] == "ready"
    assert "Traceback" not in place.service.logged
