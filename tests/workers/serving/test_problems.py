from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from workers.serving.problem_kinds import CATALOGUE
from workers.serving.problems import MEDIA_TYPE, Problem

DOCUMENT = Path(__file__).parents[3] / "docs" / "http-api.md"


def table_of_problems() -> list[tuple[str, str, str, str]]:
    """Return status, slug, meaning and way out of each row of the table in the document."""
    section = DOCUMENT.read_text("utf-8").partition("\n## Problems\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d{3}) \| `([\w-]+)` \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    return [(status, slug, meaning, way_out) for status, slug, meaning, way_out in rows]


def test_the_document_lists_every_problem_as_the_catalogue_has_it() -> None:
    assert table_of_problems() == [
        (str(kind.status), kind.slug, kind.meaning, kind.way_out) for kind in CATALOGUE.values()
    ]


def test_the_catalogue_is_ordered_by_status() -> None:
    statuses = [kind.status for kind in CATALOGUE.values()]
    assert statuses == sorted(statuses)


def test_a_problem_names_only_what_applies() -> None:
    problem = Problem(slug="invalid-parameter", detail="top_k is 'x'", parameter="top_k", value="x")
    assert problem.as_dict("r-1") == {
        "type": "/v1/problems/invalid-parameter",
        "title": "A parameter is not valid",
        "status": 400,
        "detail": "top_k is 'x'",
        "request_id": "r-1",
        "parameter": "top_k",
        "value": "x",
    }


def test_a_slug_that_is_not_in_the_catalogue_is_a_bug() -> None:
    with pytest.raises(KeyError):
        Problem(slug="gate-empty", detail="")


@pytest.mark.parametrize(
    ("seconds", "header", "milliseconds"), [(0.0201, "1", 21), (1.0, "1", 1000), (1.5, "2", 1500)]
)
def test_the_time_to_wait_is_rounded_up(seconds: float, header: str, milliseconds: int) -> None:
    answer = Problem(slug="gate-full", detail="full", retry_after_s=seconds).response("r-1")
    assert answer.headers["retry-after"] == header
    assert json.loads(bytes(answer.body))["retry_after_ms"] == milliseconds


@pytest.mark.parametrize("slug", [slug for slug, kind in CATALOGUE.items() if kind.status in (429, 503)])
def test_every_answer_with_429_or_503_says_when_to_come_back(slug: str) -> None:
    assert int(Problem(slug=slug, detail="full").response().headers["retry-after"]) >= 1


def test_an_answer_is_a_problem_document() -> None:
    answer = Problem(slug="not-found", detail="nothing at /x").response()
    assert answer.status_code == 404
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert int(answer.headers["content-length"]) == len(bytes(answer.body))


def test_401_says_how_to_authenticate_and_405_which_methods_are_taken() -> None:
    unauthorized = Problem(slug="unauthorized", detail="no token").response()
    assert unauthorized.headers["www-authenticate"] == 'Bearer realm="panopticon"'
    refused = Problem(slug="method-not-allowed", detail="PUT", allowed=["GET", "HEAD"]).response()
    assert refused.headers["allow"] == "GET, HEAD"


def test_a_password_in_a_value_or_detail_is_masked() -> None:
    uri = "https://reader:hunter2@host/a.jpg?token=hunter2"
    document = Problem(slug="source-failed", detail=f"cannot fetch {uri}", value=uri).body()
    assert b"hunter2" not in document


def test_a_long_value_is_cut_and_any_text_is_json() -> None:
    document = Problem(slug="invalid-header", detail="x", value="\ud800\r\n" + "a" * 10_000).body()
    value = json.loads(document)["value"]
    assert len(value) == 200
    assert value.startswith("\ud800\r\na")
