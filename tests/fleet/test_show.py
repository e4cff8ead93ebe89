"""`panopticon show`: only here are the queues, store and search behind it servers.

What it shows is in tests/workers/inspection/, its command in tests/workers/cli/test_show.py.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from panopticon.messages import Lane
from panopticon.settings import Settings
from storage.search import open_search
from storage.stores import open_store
from tests.contracts.examples import failure, key, output, part, result
from tests.fleet.commands import panopticon_json
from tests.fleet.trial import wait_for
from tests.workers.two_versions import LIGHT_1, LIGHT_2, PETS_1, PETS_2, Planted
from workers.queues import broker_of

PHOTO = "photo"
OF_ANOTHER_DIGEST = "d1"


def test_show_explains_one_image_from_three_servers(tmp_path: Path, on_three_servers: Settings) -> None:
    settings = on_three_servers
    search = open_search(settings.search_url)
    with closing(open_store(settings.store_url)) as store, closing(broker_of(settings)) as broker:
        planted = Planted(store=store, broker=broker, search=search, folder=tmp_path)
        plant(planted)
        broker.model_queue(LIGHT_1).submit([b"{}"], Lane.LIVE)
        wait_for(lambda: sum(depth.ready for depth in broker.model_queue(LIGHT_1).depth().values()) == 1)
        shown = panopticon_json(settings, "show", PHOTO)
    assert {status["model"]: (status["verdict"], status["why"]) for status in shown["standings"]} == {
        "pets@1": ("stored", "search has an older state of it: the result is on its way, or lost"),
        "pets@2": ("dead", "corrupt"),
        "light@1": ("pending", "waiting in its queue, and no worker takes from it"),
        "light@2": ("stored", "not in search: the result is on its way, or lost"),
    }
    light, pets = shown["outputs"]
    assert (light["labels_from"], light["policy_number"]) == ("nowhere", None)
    assert [(kept["name"], kept["value"]) for kept in pets["kept"]] == [("cat", 0.75)]
    assert [(dropped["name"], dropped["why"]) for dropped in pets["dropped"]] == [
        ("dog", "hidden"),
        ("fox", "below the threshold 0.1"),
    ]
    assert shown["failures"][0]["next"] == f"panopticon dead replay {PHOTO}"
    assert shown["search"]["parts"]["pets_1"]["behind"] == ["policy 1 is older than the present one, 2"]


def plant(planted: Planted) -> None:
    """Store an output, one of another digest, and a failure; search has the first by a former policy."""
    planted.register_all()
    planted.photo(PHOTO)
    planted.put_policy(PETS_1, 'hidden = ["dog"]\n')
    entry = planted.store.registry.read("pets")
    assert entry is not None
    former = replace(
        output(key(PHOTO, version=PETS_1)),
        vector=np.array([0.75, 0.25, 0.0625], dtype="<f4"),
        digest=entry.versions[0].digest,
    )
    stranger = replace(output(key(PHOTO, version=LIGHT_2)), digest=OF_ANOTHER_DIGEST)
    planted.store.outputs.put([former, stranger])
    planted.store.outputs.put_failures([failure(key(PHOTO, version=PETS_2))])
    planted.search.apply([result(PHOTO, part(cat=0.75, dog=0.25), name=PETS_1.part)])
