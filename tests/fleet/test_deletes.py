"""Edits and deletes: only here does a whole fleet get them while its workers are down, and a backfill after.

The indexer's rules are in tests/workers/indexer/, the merge of a document in tests/panopticon/results/.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from panopticon.messages import ImageMessage, Lane
from panopticon.results.documents import SearchDocument
from panopticon.settings import Settings
from storage.originals.files import uri_of
from tests.fleet.commands import panopticon
from tests.fleet.processes import VERSIONS, fleet
from tests.fleet.trial import wait_for, wait_until_empty
from tests.house import house_of

ALL = [f"image-{number}" for number in range(60)]
DELETED, EDITED = ALL[:20], ALL[20:30]
RENAMED = 'renamed = { red = "rot" }\n'
NULL = VERSIONS[0]


@pytest.mark.parametrize("places", ["on_one_file", "on_three_servers"])
def test_a_deleted_image_stays_deleted_after_a_backfill_of_everything_and_a_policy_change(
    request: pytest.FixtureRequest, tmp_path: Path, places: str
) -> None:
    settings: Settings = request.getfixturevalue(places).model_copy(update={"registry_every_s": 0.5})
    picture = tmp_path / "one.png"
    Image.new("RGB", (16, 16), (255, 0, 0)).save(picture)
    with fleet(settings, tmp_path) as running:
        publish(settings, picture, ALL, revision=0)
        wait_until_empty(settings)
        running.stop_workers()
        publish(settings, picture, DELETED, revision=1, event="deleted")
        wait_for(lambda: all(document.deleted for document in documents(settings, DELETED)))
        publish(settings, picture, EDITED, revision=1)

        running.start_workers()
        (tmp_path / "ids").write_text("".join(f"{image_id}\n" for image_id in ALL))
        (tmp_path / "policy.toml").write_text(RENAMED)
        panopticon(settings, "backfill", "--model", str(NULL), "--ids", str(tmp_path / "ids"))
        wait_until_empty(settings)
        panopticon(settings, "policy", "apply", str(NULL), str(tmp_path / "policy.toml"))
        wait_until_empty(settings)
        assert set(running.stop().values()) == {0}
    for document in documents(settings, DELETED):
        assert (document.deleted, document.revision, dict(document.parts)) == (True, 1, {})
    for document in documents(settings, ALL[20:]):
        assert document.revision == (1 if document.image_id in EDITED else 0)
        assert {part.revision for part in document.parts.values()} == {document.revision}
        assert "rot" in document.parts[NULL.part].scores


def publish(
    settings: Settings, picture: Path, ids: Iterable[str], *, revision: int, event: str = "uploaded"
) -> None:
    messages = [
        ImageMessage.model_validate(
            {
                "image_id": image_id,
                "image_uri": uri_of(os.fsencode(picture)),
                "revision": revision,
                "event": event,
            }
        )
        for image_id in ids
    ]
    with house_of(settings) as house:
        house.broker.uploads.publish(messages, Lane.LIVE)


def documents(settings: Settings, ids: list[str]) -> list[SearchDocument]:
    with house_of(settings) as house:
        return list(house.search.get(ids).values())
