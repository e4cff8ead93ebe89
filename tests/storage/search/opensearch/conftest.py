"""An index for each test that uses one, which is dropped afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.storage.search.opensearch.places import Place


@pytest.fixture
def place(opensearch_url: str) -> Iterator[Place]:
    """A name without indexes."""
    place = Place(opensearch_url)
    yield place
    place.drop()
