"""`panopticon index`: only here is it shown to report the same on Cassandra as on one file.

What it does on one file is in tests/end_to_end/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from panopticon.settings import Settings
from tests.fleet.commands import panopticon_json


@pytest.mark.parametrize("places", ["on_one_file", "on_cassandra"])
def test_index_reports_how_many_results_it_has_finished(
    request: pytest.FixtureRequest, tmp_path: Path, places: str
) -> None:
    settings: Settings = request.getfixturevalue(places)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(photos / f"{number}.png")
    (photos / "broken.png").write_bytes(b"no picture")
    assert index(settings, photos)["finished"] == 8
    assert index(settings, photos)["finished"] == 0
    Image.new("RGB", (32, 16), (9, 9, 9)).save(photos / "0.png")
    assert index(settings, photos)["finished"] == 2


def index(settings: Settings, photos: Path) -> Any:
    """Index a folder with a broken photo with two models; return the report."""
    models = ("--model", "null@1", "--model", "slow@1")
    return panopticon_json(settings, "index", str(photos), *models, code=1)
