"""An index for each test that asks for one, dropped afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.storage.search.opensearch.places import Place


@pytest.fixture
def place(opensearch_url: str) -> Iterator[Place]:
    """A name under which there is nothing yet."""
    place = Place(opensearch_url)
    yield place
    place.drop()
