"""The real tagger and quality models: only here do they run on RabbitMQ, Cassandra and OpenSearch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from panopticon.interfaces import SearchIndex
from panopticon.messages import ImageMessage, Lane
from panopticon.models import find_card, parse_version
from panopticon.results.search import Order, Query
from panopticon.settings import Settings
from storage.originals.files import uri_of
from tests.fleet.commands import audit
from tests.fleet.photos import cropped_photos
from tests.fleet.processes import fleet
from tests.fleet.trial import wait_until_empty
from tests.house import house_of
from workers.worker.run import prepare_model

VERSIONS = tuple(map(parse_version, ("tagger@1", "quality@1")))


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    """Three hundred photos by image ID."""
    return cropped_photos(tmp_path, crops=50)


def test_three_hundred_photos_are_stored_found_and_audited(
    tmp_path: Path, on_three_servers: Settings, photos: dict[str, Path], cache_dir: Path
) -> None:
    settings = on_three_servers.model_copy(
        update={"models_dir": None, "cache_dir": cache_dir, "settle_s": 2.0}
    )
    for version in VERSIONS:
        prepare_model(find_card(version), settings)
    with fleet(settings, tmp_path, VERSIONS) as running, house_of(settings) as house:
        messages = [
            ImageMessage(image_id=name, image_uri=uri_of(os.fsencode(path))) for name, path in photos.items()
        ]
        house.broker.uploads.publish(messages, Lane.LIVE)
        wait_until_empty(settings, VERSIONS, patience_s=200.0)
        assert set(running.stop().values()) == {0}
    (tmp_path / "ids").write_text("\n".join(photos))
    assert audit(settings, tmp_path / "ids") == (0, set())
    with house_of(settings) as house:
        for version in VERSIONS:
            assert {key.image_id for key in house.store.outputs.get(list(photos), version)} == set(photos)
        assert {name.rpartition("-")[0] for name in cats(house.search)} == {"chelsea"}


def cats(search: SearchIndex) -> list[str]:
    """Return the images that search finds as cats, at most a hundred."""
    query = Query(
        parts=tuple(version.part for version in VERSIONS), all_of=("cat",), order=Order.PROBABILITY, limit=100
    )
    return [document.image_id for document in search.query(query).documents]
