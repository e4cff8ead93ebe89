"""One image explained where queues, store and search are servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from panopticon.messages import Lane
from panopticon.settings import Settings
from storage.search import open_search
from storage.stores import open_store
from tests.contracts.examples import failure, key, output, part, result
from tests.fleet.trial import wait_for
from tests.workers.two_versions import LIGHT_1, LIGHT_2, PETS_1, PETS_2, Planted
from workers.queues import broker_of

PHOTO = "photo"
OF_ANOTHER_DIGEST = "d1"


def test_three_servers_explain_one_image(tmp_path: Path, on_three_servers: Settings) -> None:
    settings = on_three_servers
    search = open_search(settings.search_url)
    with closing(open_store(settings.store_url)) as store, closing(broker_of(settings)) as broker:
        planted = Planted(store=store, broker=broker, search=search, folder=tmp_path)
        plant(planted)
        broker.model_queue(LIGHT_1).submit([b"{}"], Lane.LIVE)
        wait_for(lambda: sum(depth.ready for depth in broker.model_queue(LIGHT_1).depth().values()) == 1)
        told = show(settings)
    assert {standing["model"]: (standing["verdict"], standing["why"]) for standing in told["standings"]} == {
        "pets@1": ("stored", "search has an older state of it: the result is on its way, or lost"),
        "pets@2": ("dead", "corrupt"),
        "light@1": ("pending", "waiting in its queue, and no worker takes from it"),
        "light@2": ("stored", "not in search: the result is on its way, or lost"),
    }
    light, pets = told["outputs"]
    assert (light["labels_from"], light["policy_number"]) == ("nowhere", None)
    assert [(kept["name"], kept["value"]) for kept in pets["kept"]] == [("cat", 0.75)]
    assert [(dropped["name"], dropped["why"]) for dropped in pets["dropped"]] == [
        ("dog", "hidden"),
        ("fox", "below the threshold 0.1"),
    ]
    assert told["failures"][0]["next"] == f"panopticon dead replay {PHOTO}"
    assert told["search"]["parts"]["pets_1"]["behind"] == ["policy 1 is older than the present one, 2"]


def plant(planted: Planted) -> None:
    """One version has said something, by a policy that is no more; one failed; one has not come to it."""
    planted.register_all()
    planted.photo(PHOTO)
    planted.put_policy(PETS_1, 'hidden = ["dog"]\n')
    entry = planted.store.registry.read("pets")
    assert entry is not None
    said = replace(
        output(key(PHOTO, version=PETS_1)),
        vector=np.array([0.75, 0.25, 0.0625], dtype="<f4"),
        digest=entry.versions[0].digest,
    )
    stranger = replace(output(key(PHOTO, version=LIGHT_2)), digest=OF_ANOTHER_DIGEST)
    planted.store.outputs.put([said, stranger])
    planted.store.outputs.put_failures([failure(key(PHOTO, version=PETS_2))])
    planted.search.apply([result(PHOTO, part(cat=0.75, dog=0.25), name=PETS_1.part)])


def show(settings: Settings) -> dict[str, Any]:
    """`panopticon show`, as an operator calls it."""
    command = [sys.executable, "-m", "workers.cli.main", "show", PHOTO, "--json"]
    environ = {**os.environ, **settings.as_environ()}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said
