"""A comparison of two versions: only here are its queues, store and search servers.

Its figures are in tests/workers/comparison/, its command and page in tests/workers/cli/test_diff.py.
"""

from __future__ import annotations

from pathlib import Path

from panopticon.messages import Lane
from panopticon.registry.activation import exceeded_limits, limits_of, report_of
from panopticon.settings import Settings
from tests.fleet.commands import panopticon_json
from tests.fleet.trial import wait_for
from tests.house import House, house_of
from tests.workers.two_versions import PETS_1, PETS_2, photo, register_two_versions

IMAGES = 12
COVERED = 9


def test_a_comparison_on_three_servers_is_kept_and_shown(tmp_path: Path, on_three_servers: Settings) -> None:
    settings = on_three_servers
    with house_of(settings) as house:
        house.real.search.create()
        plant(house, tmp_path)
        house.broker.results().submit([b"{}"] * 3, Lane.BACKFILL)
        wait_for(lambda: house.search.count([PETS_1.part, PETS_2.part]) == COVERED)
        wait_for(lambda: house.search.count([PETS_1.part]) == IMAGES)
        words = ("models", "diff", str(PETS_1), str(PETS_2), "--html", str(tmp_path / "page.html"))
        compared = panopticon_json(settings, *words)
        assert (compared["asked"], compared["images"]) == (IMAGES, COVERED)
        assert compared["left_out"] == {"no output of pets@2": IMAGES - COVERED}
        assert compared["figures"] == {"coverage": 0.75, "agreement": 8 / 9, "jaccard": 8 / 9, "waiting": 3}
        assert [worst["image_id"] for worst in compared["worst"]] == ["photo-00"]
        assert (tmp_path / "page.html").read_text("utf-8").count("data:image/jpeg") == 1
        report = report_of(house.model("pets"), 1, 2)
        assert report is not None
        assert report.report_sha256 == compared["report_sha256"]
        assert house.store.archive.get(report.report_sha256)
        former, version = house.model("pets").versions
        limits = limits_of(settings, house.store.archive.get(version.card_sha256))
        assert exceeded_limits(report, limits, former=former, version=version, now_ms=report.at_ms) == [
            "coverage is 0.75, at least 0.99 is required"
        ]


def plant(house: House, folder: Path) -> None:
    """Store outputs of all images by the first version, and of most by the second, which differs in one."""
    register_two_versions(house, folder / "cards")
    for number in range(IMAGES):
        name = f"photo-{number:02}"
        outputs = {PETS_1: {"cat": 0.75}}
        if number < COVERED:
            outputs[PETS_2] = {"cat": 0.75} if number else {"dog": 0.75}
        house.plant(name, outputs=outputs)
        photo(house, folder / f"{name}.png")
