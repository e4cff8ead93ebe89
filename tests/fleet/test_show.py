"""`panopticon show`: only here are the queues, store and search behind it servers.

What it shows is in tests/workers/inspection/, its command in tests/workers/cli/test_show.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from panopticon.messages import Lane
from panopticon.settings import Settings
from tests.contracts.examples import key, output
from tests.fleet.commands import panopticon_json
from tests.fleet.trial import wait_for
from tests.house import House, house_of
from tests.workers.two_versions import LIGHT_1, LIGHT_2, PETS_1, PETS_2, photo, register_two_versions

PHOTO = "photo"
OF_ANOTHER_DIGEST = "d1"


def test_show_explains_one_image_from_three_servers(tmp_path: Path, on_three_servers: Settings) -> None:
    settings = on_three_servers
    with house_of(settings) as house:
        plant(house, tmp_path)
        queue = house.broker.model_queue(LIGHT_1)
        queue.submit([b"{}"], Lane.LIVE)
        wait_for(lambda: sum(depth.ready for depth in queue.depth().values()) == 1)
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


def plant(house: House, folder: Path) -> None:
    """Store an output, one of another digest, and a failure; search has the first by a former policy."""
    house.real.search.create()
    register_two_versions(house, folder / "cards")
    house.plant(PHOTO, outputs={PETS_1: {"cat": 0.75, "dog": 0.25, "fox": 0.0625}}, failures=[PETS_2])
    photo(house, folder / f"{PHOTO}.png")
    house.put_policy(PETS_1, 'hidden = ["dog"]\n')
    house.store.outputs.put([replace(output(key(PHOTO, version=LIGHT_2)), digest=OF_ANOTHER_DIGEST)])
