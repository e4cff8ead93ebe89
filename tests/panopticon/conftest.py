"""Engines of the shipped models, loaded once per session, and photos from installed packages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from panopticon.cards.cards import ModelCard
from panopticon.engines import open_engine
from panopticon.interfaces import Engine
from panopticon.models import find_card, parse_version

OpenEngine = Callable[[str, str], Engine]


@pytest.fixture(scope="session")
def tagger() -> ModelCard:
    return find_card(parse_version("tagger@1"))


@pytest.fixture(scope="session")
def quality() -> ModelCard:
    return find_card(parse_version("quality@1"))


@pytest.fixture(scope="session")
def loaded(cache_dir: Path) -> OpenEngine:
    """Return a function: `loaded("tagger@1", "litert")` → the engine, the same one each time."""
    engines: dict[tuple[str, str], Engine] = {}

    def load(version: str, name: str) -> Engine:
        if (version, name) not in engines:
            engine = open_engine(find_card(parse_version(version)), engine=name, cache_dir=cache_dir)
            engine.load()
            engines[version, name] = engine
        return engines[version, name]

    return load


@pytest.fixture(scope="session")
def photo() -> Callable[[str], bytes]:
    """Return a function: `photo("skimage:data/coffee.png")` → the file's bytes."""

    def read(name: str) -> bytes:
        package, _, inside = name.partition(":")
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        return (Path(spec.origin).parent / inside).read_bytes()

    return read
