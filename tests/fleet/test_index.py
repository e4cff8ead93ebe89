"""`panopticon index` on servers: it tells the same as on one file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from panopticon.settings import Settings


@pytest.mark.parametrize("places", ["on_one_file", "on_cassandra"])
def test_it_counts_what_it_has_brought_about(
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
    """With two models."""
    command = [sys.executable, "-m", "workers.cli.main", "index", str(photos), "--json"]
    models = ["--model", "null@1", "--model", "slow@1"]
    environ = {**os.environ, **settings.as_environ()}
    return json.loads(
        subprocess.run([*command, *models], env=environ, stdout=subprocess.PIPE, check=True).stdout
    )
