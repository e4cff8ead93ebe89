from __future__ import annotations

from panopticon.metrics import Metrics
from tests.workers.serving.asgi import Answered, get
from workers.serving.api.app import router_of
from workers.serving.api.entry import Entry
from workers.serving.api.problems import problem_routes
from workers.serving.problem_kinds import CATALOGUE


def ask(path: str) -> Answered:
    entry = Entry(router_of(problem_routes()), check=lambda *_: "ann", metrics=Metrics())
    return get(entry, path)


def test_each_problem_is_documented_by_the_service_at_its_type() -> None:
    listed = ask("/v1/problems").json["problems"]
    assert [each["type"] for each in listed] == [f"/v1/problems/{slug}" for slug in CATALOGUE]
    assert [ask(each["type"]).json for each in listed] == listed


def test_a_problem_that_does_not_exist_is_a_problem_that_names_those_that_do() -> None:
    answered = ask("/v1/problems/weather")
    assert (answered.status, answered.json["value"]) == (404, "weather")
    assert answered.json["allowed"] == list(CATALOGUE)
