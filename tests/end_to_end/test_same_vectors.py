"""One photo has one vector, to the last bit, by the worker, by `classify` and by the HTTP service."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panopticon.cards.cards import ModelCard
from panopticon.models import find_card, parse_version
from panopticon.results.outputs import Output
from tests.end_to_end.command import Installation
from tests.end_to_end.test_sample_photos import image_id
from tests.servers.espresso import ServiceProcess
from workers.submission.sample_photos import folders

VERSIONS = ("tagger@1", "quality@1")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp")
CARDS = {name: find_card(parse_version(name)) for name in VERSIONS}
Vectors = dict[tuple[Path, str], bytes]
"""The stored form of each vector, by photo and version; empty for a photo that is refused."""


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    """Every picture in the packages of the extra `samples`."""
    found = [path for folder in folders() for path in sorted(Path(folder).resolve().iterdir())]
    return [path for path in found if path.suffix.lower() in SUFFIXES]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Installation:
    return Installation(folder=tmp_path_factory.mktemp("vectors"), cache_dir=cache_dir)


@pytest.fixture(scope="module")
def stored(installation: Installation, photos: list[Path]) -> dict[tuple[Path, str], Output]:
    """The outputs that workers have stored."""
    done = installation.panopticon("index", "--show", "0", *map(str, photos))
    assert done.exit_code in (0, 1), done.err
    outputs: dict[tuple[Path, str], Output] = {}
    for name in VERSIONS:
        by_key = installation.store().outputs.get([image_id(path) for path in photos], parse_version(name))
        by_id = {key.image_id: output for key, output in by_key.items()}
        outputs |= {(path, name): by_id[image_id(path)] for path in photos if image_id(path) in by_id}
    assert len(outputs) > 30
    return outputs


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[ServiceProcess]:
    with ServiceProcess(
        tmp_path_factory.mktemp("service"), *VERSIONS, cache_dir=cache_dir
    ).running() as service:
        yield service


@pytest.fixture(scope="module")
def classified(installation: Installation, photos: list[Path], stored: object) -> list[Any]:
    """The lines of `classify`, after the versions were registered."""
    done = installation.panopticon("classify", "--vectors", "-0", stdin=b"\0".join(map(os.fsencode, photos)))
    return [json.loads(line) for line in done.out.splitlines()]


def bits(answer: dict[str, Any], card: ModelCard) -> bytes:
    vector = answer.get("vector")
    return b"" if vector is None else np.array(vector, dtype=card.output.dtype).tobytes()


def expected(stored: dict[tuple[Path, str], Output], photos: list[Path]) -> Vectors:
    return {
        (path, name): stored[path, name].vector.tobytes() if (path, name) in stored else b""
        for path in photos
        for name in VERSIONS
    }


def test_classify_gives_the_vectors_that_workers_store(
    classified: list[Any], stored: dict[tuple[Path, str], Output], photos: list[Path]
) -> None:
    assert [line["path"] for line in classified] == list(map(str, photos))
    vectors = {
        (path, name): bits(line["models"][name], CARDS[name])
        for path, line in zip(photos, classified, strict=True)
        for name in VERSIONS
    }
    assert vectors == expected(stored, photos)


def analyzed(service: ServiceProcess, path: Path) -> dict[str, Any]:
    """The answer about the bytes of one photo, whatever its status."""
    request = urllib.request.Request(
        f"{service.url}/v1/analyze?models={','.join(VERSIONS)}&vectors=true",
        data=path.read_bytes(),
        headers={"Content-Type": "application/octet-stream"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as refused:
        return dict(json.loads(refused.read()))


def test_the_service_gives_the_vectors_that_workers_store(
    service: ServiceProcess, stored: dict[tuple[Path, str], Output], photos: list[Path]
) -> None:
    vectors: Vectors = {}
    for path in photos:
        answers = analyzed(service, path)["models"]
        vectors |= {(path, name): bits(answers[name], CARDS[name]) for name in VERSIONS}
    assert vectors == expected(stored, photos)


def test_classify_and_the_service_give_the_same_tags_and_scores_to_the_last_digit(
    service: ServiceProcess, classified: list[Any], photos: list[Path]
) -> None:
    path, line = next(
        (path, line) for path, line in zip(photos, classified, strict=True) if path.name == "chelsea.png"
    )
    answers = analyzed(service, path)["models"]
    tags = line["models"]["tagger@1"]["tags"]
    assert tags[0]["label"] == "tiger cat"
    assert answers["tagger@1"]["tags"] == tags
    assert answers["quality@1"]["scores"] == line["models"]["quality@1"]["scores"]


def test_top_k_cuts_the_tags_of_classify(
    installation: Installation, classified: list[Any], photos: list[Path]
) -> None:
    at = [path.name for path in photos].index("chelsea.png")
    done = installation.panopticon("classify", "--model", "tagger@1", "--top-k", "1", str(photos[at]))
    tags = classified[at]["models"]["tagger@1"]["tags"]
    assert len(tags) > 1
    assert json.loads(done.out)["models"]["tagger@1"]["tags"] == tags[:1]
