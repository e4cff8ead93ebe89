"""Two versions of the real tagger: only here are real models switched and switched back under uploads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from panopticon.messages import ImageMessage, Lane, encode
from panopticon.models import find_card
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.originals.files import uri_of
from tests.fleet.asking import answers
from tests.fleet.photos import cropped_photos
from tests.fleet.processes import MODELS, fleet
from tests.fleet.trial import wait_for, wait_until_empty
from tests.house import house_of
from workers.registry.change_state import Versions
from workers.worker.run import prepare_model

ONE, TWO = (VersionName(model="tagger", version=number) for number in (1, 2))
LABELS = (
    "espresso",
    "tabby",
    "Egyptian cat",
    "tiger cat",
    "missile",
    "moped",
    "cup",
    "animal",
    "entity",
    "vehicle",
)
QUESTIONS = [
    [label, *more]
    for label in LABELS
    for more in (
        [],
        ["--limit", "3"],
        ["--min-probability", "0.2"],
        ["--order", "newest"],
        ["--order", "newest", "--limit", "5"],
        ["cat", "--any"],
        ["cat"],
        ["animal", "--any", "--limit", "7"],
        ["--min-probability", "0.5", "--limit", "50"],
        ["--limit", "100"],
    )
]
places = pytest.mark.parametrize("places", ["on_one_file", "on_three_servers"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The photos, which are published in parts, and the settings of the fleet that processes them."""

    settings: Settings
    photos: dict[str, Path]

    def publish(self, ids: Sequence[str], version: VersionName | None = None) -> None:
        """Publish images as uploads, or to one version's backfill lane."""
        messages = [
            ImageMessage(image_id=each, image_uri=uri_of(os.fsencode(self.photos[each]))) for each in ids
        ]
        with house_of(self.settings) as house:
            if version is None:
                house.broker.uploads.publish(messages, Lane.LIVE)
            else:
                bodies = [encode(message) for message in messages]
                house.broker.model_queue(version).submit(bodies, Lane.BACKFILL)

    def wait(self) -> None:
        """Wait until every queue is empty and search finds every document."""
        wait_until_empty(self.settings, (ONE, TWO), patience_s=200.0)
        with house_of(self.settings) as house:
            count = house.search.count
            wait_for(lambda: count(["tagger_1"]) == count(["tagger_2"]) == count())

    def switch(self, change: Callable[[Versions], object]) -> None:
        with house_of(self.settings) as house:
            change(Versions(store=house.store, broker=house.broker, by="ann", reason="test"))

    def activate(self, version: VersionName) -> None:
        card = find_card(version, self.settings.models_dir)
        self.switch(lambda versions: versions.activate(card))

    def roll_back(self) -> None:
        self.switch(lambda versions: versions.roll_back("tagger"))


@contextmanager
def side_by_side(settings: Settings, folder: Path, cache_dir: Path) -> Iterator[Catalogue]:
    """Run both versions: tagger@1 is active and has 300 photos, tagger@2 is backfilled during uploads."""
    settings = settings.model_copy(update={"models_dir": MODELS, "cache_dir": cache_dir})
    for version in (ONE, TWO):
        prepare_model(find_card(version, MODELS), settings)
    catalogue = Catalogue(settings=settings, photos=cropped_photos(folder, crops=70))
    ids = list(catalogue.photos)
    with fleet(settings, folder, (ONE,)) as first:
        catalogue.publish(ids[:300])
        wait_until_empty(settings, (ONE,), patience_s=200.0)
        assert set(first.stop().values()) == {0}
    with fleet(settings, folder, (ONE, TWO)) as both:
        catalogue.publish(ids[:150], TWO)
        catalogue.publish(ids[300:330])
        catalogue.publish(ids[150:300], TWO)
        catalogue.publish(ids[330:350])
        catalogue.wait()
        yield catalogue
        assert set(both.stop().values()) == {0}


def parts_in(answer: str) -> set[str]:
    found = json.loads(answer)
    return {*found["parts"], *(tag["part"] for image in found["images"] for tag in image["tags"])}


@places
def test_a_switch_answers_from_the_new_version_and_a_rollback_byte_for_byte_as_before(
    request: pytest.FixtureRequest, tmp_path: Path, cache_dir: Path, places: str
) -> None:
    with side_by_side(request.getfixturevalue(places), tmp_path, cache_dir) as catalogue:
        assert len(QUESTIONS) == 100
        before = answers(catalogue.settings, QUESTIONS)
        assert {part for answer in before for part in parts_in(answer)} == {"tagger_1"}
        catalogue.activate(TWO)
        after = answers(catalogue.settings, QUESTIONS)
        assert {part for answer in after for part in parts_in(answer)} == {"tagger_2"}
        assert after != before
        catalogue.roll_back()
        assert answers(catalogue.settings, QUESTIONS) == before

        catalogue.activate(TWO)
        late = list(catalogue.photos)[350:400]
        catalogue.publish(late)
        catalogue.wait()
        catalogue.roll_back()
        (whole,) = answers(catalogue.settings, [["--order", "newest", "--limit", "1000"]])
        found = json.loads(whole)
        assert found["parts"] == ["tagger_1"]
        assert {image["image_id"] for image in found["images"] if image["tags"]} >= set(late)
