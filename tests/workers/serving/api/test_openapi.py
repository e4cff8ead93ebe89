from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from urllib3 import HTTPHeaderDict

from panopticon.settings import Settings
from tests.contracts.examples import TAGGER
from tests.house import house_of
from tests.workers.serving.running import JPEG, Answered, RunningService, running
from tools.make_schema import OPENAPI_FILE, openapi_text
from workers.serving.access.token_file import Scope, add_token
from workers.serving.api import schemas
from workers.serving.api.openapi.document import openapi
from workers.serving.api.openapi.operation import Operation
from workers.serving.api.openapi.operations import OPERATIONS
from workers.serving.api.schemas_reading import ImageAnswer, SearchAnswer
from workers.serving.problem_kinds import CATALOGUE
from workers.serving.problems import MEDIA_TYPE

IMAGE_ID = "photos/cat.jpg"
MAX_PARTS, MAX_BYTES, MAX_REQUEST_BYTES = 3, 20_000, 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A running service with small limits, and tokens for it."""

    service: RunningService
    tokens: Mapping[str, str]
    folder: Path

    def ask(self, method: str, path: str, *, token: str = "all", **options: Any) -> Answered:
        headers = dict(options.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        return self.service.ask(method, path, headers=headers, **options)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("openapi")
    file = folder / "tokens.toml"
    scopes = {"all": frozenset(Scope), "reader": frozenset([Scope.READ])}
    tokens = {
        name: add_token(file, name, allowed, expires=None, now=datetime.now(UTC))
        for name, allowed in scopes.items()
    }
    (folder / "good.jpg").write_bytes(JPEG)
    database = f"sqlite:///{folder / 'service.db'}"
    with house_of(Settings(database=database, cache_dir=folder / "cache")) as house:
        house.register(TAGGER)
        house.plant(IMAGE_ID, outputs={TAGGER: {"tabby": 0.75}}, failures=[])
    with running(
        folder,
        "null@1",
        tokens_file=file,
        file_roots=[folder],
        max_parts=MAX_PARTS,
        max_bytes=MAX_BYTES,
        max_request_bytes=MAX_REQUEST_BYTES,
    ) as service:
        yield Place(service=service, tokens=tokens, folder=folder)


# The document


def test_the_document_is_valid_openapi() -> None:
    OPENAPI_31_VALIDATOR.validate(openapi())


def test_the_stored_document_is_the_present_one() -> None:
    assert OPENAPI_FILE.read_text("utf-8") == openapi_text()


def test_every_schema_of_the_document_is_valid_and_each_reference_leads_somewhere() -> None:
    document = openapi()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        found: Any = document
        for part in reference.split("/"):
            found = found[part]


def test_every_example_of_an_answer_fits_its_schema() -> None:
    document = openapi()
    examples = 0
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                for content in response["content"].values():
                    named = [
                        document["components"]["examples"][example["$ref"].rpartition("/")[2]]["value"]
                        for example in content.get("examples", {}).values()
                    ]
                    for value in named + ([content["example"]] if "example" in content else []):
                        resolved(document, content["schema"]).validate(value)
                        examples += 1
    assert examples > 80


def test_every_example_of_a_request_fits_its_schema() -> None:
    document = openapi()
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if "example" in parameter:
                    resolved(document, parameter["schema"]).validate(parameter["example"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for example in content.get("examples", {}).values():
                    resolved(document, content["schema"]).validate(example["value"])


def resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Draft202012Validator:
    """Return the validator of a schema whose references lead into the document."""
    return Draft202012Validator({**schema, "components": document["components"]})


def test_the_service_serves_this_document_to_everybody(place: Place) -> None:
    answer = place.ask("GET", "/openapi.json", token="")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == json.loads(json.dumps(openapi()))


def test_every_path_takes_the_methods_of_the_document_and_no_others(place: Place) -> None:
    for path, methods in openapi()["paths"].items():
        expected = {method.upper() for method in methods}
        expected |= {"HEAD"} if "GET" in expected else set()
        answer = place.ask("PATCH", re.sub(r"\{\w+\}", "x", path), token="")
        assert answer.status == 405, path
        assert set(answer.headers["allow"].split(", ")) == expected, path


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_needs_the_scope_that_the_document_names(place: Place, operation: Operation) -> None:
    path = re.sub(r"\{\w+\}", "null@9", operation.path)
    without = place.ask(operation.method, path, token="")
    lacking = place.ask(operation.method, path, token="reader")
    assert (without.status == 401) == (operation.scope is not None)
    assert (lacking.status == 403) == (operation.scope in (Scope.ANALYZE, Scope.OPERATE))


# Real answers


def check(answer: Answered, model: type[BaseModel], *, status: int = 200) -> Any:
    """Fail unless the answer has exactly what the model has; return it as JSON."""
    assert answer.status == status, answer.body
    model.model_validate_json(answer.body)
    return answer.json


IMAGE = {"Content-Type": "image/jpeg"}


def test_the_analysis_of_one_image_is_as_its_model(place: Place) -> None:
    answer = place.ask("POST", "/v1/analyze?vectors=true", body=JPEG, headers=IMAGE)
    found = check(answer, schemas.ImageAnalysis)
    assert len(found["models"]["null@1"]["vector"]) == 3


def test_the_analysis_of_several_images_is_as_its_model(place: Place) -> None:
    fields = [("image", ("a.jpg", JPEG)), ("image", ("b.txt", b"no picture"))]
    found = check(place.ask("POST", "/v1/analyze", fields=fields), schemas.ImageAnalyses)
    assert [result["image"]["name"] for result in found["results"]] == ["a.jpg", "b.txt"]


@pytest.mark.parametrize("several", [False, True])
def test_an_analysis_without_any_answer_is_as_its_model(place: Place, several: bool) -> None:
    image = {"uri": f"file://{place.folder}/none.jpg"}
    answer = place.ask("POST", "/v1/analyze", json={"images": [image, image]} if several else image)
    found = check(answer, schemas.AnalysisProblem, status=422)
    assert ("results" in found, "models" in found) == (several, not several)


def test_the_answers_about_models_are_as_their_models(place: Place) -> None:
    check(place.ask("GET", "/v1/models"), schemas.ServedModels)
    check(place.ask("GET", "/v1/models/null"), schemas.ServedModel)
    check(place.ask("PUT", "/v1/models/null@1"), schemas.ServedModel, status=202)


def test_the_answers_from_the_store_are_as_their_models(place: Place) -> None:
    check(place.ask("GET", f"/v1/images/{IMAGE_ID}"), ImageAnswer)
    found = check(place.ask("GET", "/v1/search?all=tabby"), SearchAnswer)
    assert [image["image_id"] for image in found["images"]] == [IMAGE_ID]


def test_the_answers_about_the_service_are_as_their_models(place: Place) -> None:
    check(place.ask("GET", "/v1/hosts"), schemas.Hosts)
    check(place.ask("GET", "/health/live", token=""), schemas.Live)
    check(place.ask("GET", "/health/ready", token=""), schemas.Ready)
    check(place.ask("GET", "/v1/problems", token=""), schemas.ProblemKinds)
    for slug in CATALOGUE:
        check(place.ask("GET", f"/v1/problems/{slug}", token=""), schemas.ProblemKind)


def test_an_answer_to_head_is_that_to_get_without_its_body(place: Place) -> None:
    for path in ("/v1/models", "/v1/models/null", "/openapi.json", "/v1/hosts"):
        answer = place.ask("HEAD", path)
        assert (answer.status, answer.body) == (200, b""), path


# Bad input


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A request that is refused: where the answer has to point, and what it has to say."""

    name: str
    slug: str
    parameter: str | None = None
    says: str
    """Text of the detail: the thing and the value."""
    allows: str = ""
    """Text in `allowed`: the way out."""
    method: str = "POST"
    path: str = "/v1/analyze"
    headers: Mapping[str, str] = field(default_factory=lambda: IMAGE)
    body: bytes | None = JPEG
    token: str = "all"


def form(*lines: bytes, boundary: str = "x") -> dict[str, Any]:
    return {
        "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        "body": b"\r\n".join(lines),
    }


def uris(body: bytes) -> dict[str, Any]:
    return {"headers": {"Content-Type": "application/json"}, "body": body, "slug": "malformed-body"}


def query(text: str) -> dict[str, Any]:
    return {"path": f"/v1/analyze?{text}", "slug": "invalid-parameter"}


def search(text: str) -> dict[str, Any]:
    return {"method": "GET", "path": f"/v1/search?{text}", "slug": "invalid-parameter", "body": None}


def header(name: str, value: str) -> dict[str, Any]:
    return {"headers": {**IMAGE, name: value}, "slug": "invalid-header", "parameter": name}


PART = b'Content-Disposition: form-data; name="image"; filename="a.jpg"'
LAST = b"--x--\r\n"
BAD = [
    # The query.
    Bad(name="unknown parameter", **query("topk=1"), parameter="topk", says="topk", allows="top_k"),
    Bad(name="NUL as a parameter", **query("%00=1"), parameter="\x00", says="\\x00", allows="top_k"),
    Bad(name="not a number", **query("top_k=1e3"), parameter="top_k", says="top_k", allows="0 to 100000"),
    Bad(name="negative", **query("top_k=-1"), parameter="top_k", says="top_k", allows="0 to 100000"),
    Bad(
        name="a digit of another script",
        **query("top_k=%D9%A3"),
        parameter="top_k",
        says="top_k",
        allows="0 to",
    ),
    Bad(name="huge", **query(f"top_k={'9' * 500}"), parameter="top_k", says="top_k", allows="0 to 100000"),
    Bad(name="empty", **query("top_k="), parameter="top_k", says="top_k", allows="0 to 100000"),
    Bad(name="twice", **query("top_k=1&top_k=2"), parameter="top_k", says="2 times", allows="one value"),
    Bad(name="not a flag", **query("vectors=yes"), parameter="vectors", says="vectors", allows="true"),
    Bad(name="not UTF-8", **query("models=%ff"), says="not UTF-8", allows="percent-encoded UTF-8"),
    Bad(name="no version", **query("models=null@0"), parameter="models", says="null@0"),
    Bad(
        name="unknown model",
        path="/v1/analyze?models=nul",
        slug="unknown-model",
        parameter="models",
        says="nul is not served",
        allows="null@1",
    ),
    Bad(
        name="no images on a page",
        **search("limit=0"),
        parameter="limit",
        says="limit is '0'",
        allows="1 to 1000",
    ),
    Bad(name="unknown in search", **search("al=cat"), parameter="al", says="'al'", allows="all"),
    Bad(
        name="limit twice", **search("limit=1&limit=2"), parameter="limit", says="2 times", allows="one value"
    ),
    # Headers.
    Bad(name="lane", **header("X-Panopticon-Lane", "fast"), says="no such lane", allows="backfill"),
    Bad(name="no time", **header("X-Request-Timeout-Ms", "0"), says="X-Request-Timeout-Ms", allows="from 1"),
    Bad(
        name="half a ms",
        **header("X-Request-Timeout-Ms", "0.5"),
        says="X-Request-Timeout-Ms",
        allows="from 1",
    ),
    Bad(
        name="encoded",
        slug="unsupported-media-type",
        headers={**IMAGE, "Content-Encoding": "gzip"},
        parameter="Content-Encoding",
        says="encoded",
        allows="identity",
    ),
    Bad(
        name="text",
        slug="unsupported-media-type",
        headers={"Content-Type": "text/plain"},
        parameter="Content-Type",
        says="type",
        allows="image/*",
    ),
    Bad(name="no token", token="", slug="unauthorized", says="Authorization"),
    Bad(name="unknown token", token="pan_x", slug="unauthorized", says="not known"),
    Bad(name="no scope", token="reader", slug="forbidden", says="analyze", allows="analyze"),
    # Bodies.
    Bad(name="no body", body=b"", slug="malformed-body", says="empty", allows="image/*"),
    Bad(
        name="large",
        body=JPEG + bytes(MAX_BYTES),
        slug="too-large",
        says=str(MAX_BYTES),
        allows=str(MAX_BYTES),
    ),
    Bad(
        name="larger",
        body=bytes(MAX_REQUEST_BYTES + 1),
        slug="too-large",
        parameter="Content-Length",
        says=str(MAX_REQUEST_BYTES + 1),
        allows=str(MAX_REQUEST_BYTES),
    ),
    Bad(name="no picture", body=b"hello", slug="rejected-image", says="begins with"),
    # JSON.
    Bad(name="no JSON", **uris(b"{"), says="not JSON", allows='{"uri"'),
    Bad(name="UTF-16", **uris('{"uri": "a"}'.encode("utf-16")), says="byte 0 is not UTF-8", allows='{"uri"'),
    Bad(name="a list", **uris(b"[]"), says="object", allows='{"uri"'),
    Bad(name="null", **uris(b"null"), says="object", allows='{"uri"'),
    Bad(name="NaN", **uris(b'{"uri": NaN}'), says="NaN", allows='{"uri"'),
    Bad(
        name="deep",
        **uris(b"[" * 15_000),
        says="too deeply",
        allows='{"uri"',
    ),
    Bad(name="no key", **uris(b"{}"), parameter="uri", says="uri", allows='{"uri"'),
    Bad(name="no text", **uris(b'{"uri": 1}'), parameter="uri", says="uri", allows='{"uri"'),
    Bad(name="no URI", **uris(b'{"uri": ""}'), parameter="uri", says="uri", allows='{"uri"'),
    Bad(name="half a character", **uris(b'{"uri": "\\ud800"}'), parameter="uri", says="uri", allows='{"uri"'),
    Bad(
        name="another key", **uris(b'{"uri": "a", "url": "b"}'), parameter="url", says="url", allows='{"uri"'
    ),
    Bad(
        name="a key twice", **uris(b'{"uri": "a", "uri": "b"}'), says="'uri' is there twice", allows='{"uri"'
    ),
    Bad(name="no images", **uris(b'{"images": []}'), parameter="images", says="images", allows='{"images"'),
    Bad(
        name="no image",
        **uris(b'{"images": [{"uri": "a"}, {}]}'),
        parameter="images.1.uri",
        says="images.1.uri",
        allows='{"images"',
    ),
    Bad(
        name="many URIs",
        **{**uris(b'{"images": [%s]}' % b",".join([b'{"uri": "a"}'] * 4)), "slug": "too-many-images"},
        says="3 images",
        allows="3 images",
    ),
    Bad(name="no source", **{**uris(b'{"uri": "gopher://a"}'), "slug": "rejected-image"}, says="gopher"),
    # Forms.
    Bad(
        name="no boundary",
        slug="malformed-body",
        headers={"Content-Type": "multipart/form-data"},
        body=LAST,
        parameter="Content-Type",
        says="boundary",
        allows="boundary=",
    ),
    Bad(
        name="another boundary",
        slug="malformed-body",
        **form(b"--y", PART, b"", JPEG, b"--y--"),
        parameter="Content-Type",
        says="cannot be read",
        allows="boundary=",
    ),
    Bad(
        name="cut short",
        slug="malformed-body",
        **form(b"--x", PART, b"", JPEG, b"--x", PART, b"", JPEG[:99]),
        parameter="Content-Type",
        says="before its last boundary",
        allows="boundary=",
    ),
    Bad(
        name="no name",
        slug="malformed-body",
        **form(b"--x", b"A: b", b"", JPEG, LAST),
        parameter="Content-Type",
        says='"name"',
        allows="boundary=",
    ),
    Bad(
        name="no header",
        slug="malformed-body",
        **form(b"--x", b"no header", b"", JPEG, LAST),
        parameter="Content-Type",
        says="cannot be read",
        allows="boundary=",
    ),
    Bad(
        name="an odd charset",
        slug="malformed-body",
        **form(
            b"--x",
            b'Content-Disposition: form-data; name="\xff\xff-"',
            b"",
            b"x",
            LAST,
            boundary="x; charset=undefined",
        ),
        parameter="Content-Type",
        says="charset",
        allows="boundary=",
    ),
    Bad(name="empty form", slug="malformed-body", **form(LAST), says="no file"),
    Bad(
        name="text in a form",
        slug="malformed-body",
        parameter="image",
        **form(b"--x", b'Content-Disposition: form-data; name="image"', b"", b"text", LAST),
        says="send",
    ),
    Bad(
        name="empty file",
        slug="malformed-body",
        parameter="image",
        **form(b"--x", PART, b"", b"", LAST),
        says="empty",
    ),
    Bad(
        name="many files",
        slug="too-many-images",
        **form(*[b"--x", PART, b"", b"y"] * 4, LAST),
        says="3 images",
        allows="3 images",
    ),
    # Paths and methods.
    Bad(
        name="no path",
        method="GET",
        path="/v1/analyse",
        slug="not-found",
        parameter="path",
        says="/openapi.json",
    ),
    Bad(
        name="trailing slash",
        method="GET",
        path="/v1/models/",
        slug="not-found",
        parameter="path",
        says="/openapi",
    ),
    Bad(
        name="encoded slash",
        method="GET",
        path="/v1/models/a%2Fb",
        slug="not-found",
        parameter="path",
        says="/open",
    ),
    Bad(
        name="GET",
        method="GET",
        body=None,
        slug="method-not-allowed",
        says="does not take GET",
        allows="POST",
    ),
    Bad(name="TRACE", method="TRACE", body=None, slug="method-not-allowed", says="TRACE", allows="POST"),
    Bad(
        name="OPTIONS", method="OPTIONS", body=None, slug="method-not-allowed", says="OPTIONS", allows="POST"
    ),
    Bad(
        name="unknown version",
        method="GET",
        path="/v1/models/null@7",
        slug="unknown-model",
        parameter="name",
        says="null@7",
        allows="null@1",
    ),
    Bad(
        name="NUL in a name",
        method="GET",
        path="/v1/models/%00",
        slug="unknown-model",
        parameter="name",
        says="not served",
        allows="null@1",
    ),
    Bad(
        name="load no version",
        method="PUT",
        path="/v1/models/null",
        slug="invalid-parameter",
        parameter="name",
        says="'null'",
    ),
    Bad(
        name="load an unknown version",
        method="PUT",
        path="/v1/models/null@7",
        slug="unknown-model",
        parameter="name",
        says="null@7",
    ),
    Bad(
        name="unload no version",
        method="DELETE",
        path="/v1/models/null",
        slug="invalid-parameter",
        parameter="name",
        says="version",
        allows="null@1",
    ),
    Bad(
        name="unknown image",
        method="GET",
        path="/v1/images/x",
        slug="unknown-image",
        parameter="id",
        says="'x'",
    ),
    Bad(
        name="control character",
        method="GET",
        path="/v1/images/a%00b",
        slug="invalid-parameter",
        parameter="id",
        says="id:",
        allows="UTF-8",
    ),
    Bad(
        name="image not UTF-8",
        method="GET",
        path="/v1/images/%ff",
        slug="invalid-parameter",
        parameter="id",
        says="not UTF-8",
        allows="UTF-8",
    ),
    Bad(
        name="unknown problem",
        method="GET",
        path="/v1/problems/x",
        slug="not-found",
        parameter="slug",
        says="x",
        allows="gate-full",
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_the_answer_to_a_bad_request_names_what_is_wrong_and_what_is_allowed(place: Place, bad: Bad) -> None:
    options = {} if bad.body is None else {"body": bad.body}
    answer = place.ask(bad.method, bad.path, token=bad.token, headers=bad.headers, **options)
    kind = CATALOGUE[bad.slug]
    found = check(answer, schemas.AnalysisProblem, status=kind.status)
    assert found["type"] == f"/v1/problems/{bad.slug}"
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert found.get("parameter") == bad.parameter
    assert bad.says in found["detail"]
    assert bad.allows in json.dumps(found.get("allowed", ""), ensure_ascii=False).replace('\\"', '"')
    assert found["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in place.service.logged
    assert place.ask("GET", found["type"], token="").json["title"] == found["title"]


def test_a_header_that_is_there_twice_is_refused(place: Place) -> None:
    headers = [("X-Panopticon-Lane", "live"), ("X-Panopticon-Lane", "backfill")]
    answer = place.service.pool.request(
        "POST",
        f"{place.service.url}/v1/analyze",
        body=JPEG,
        headers=HTTPHeaderDict([*headers, ("Authorization", f"Bearer {place.tokens['all']}")]),
    )
    found = answer.json()
    assert (answer.status, found["parameter"]) == (400, "X-Panopticon-Lane")
