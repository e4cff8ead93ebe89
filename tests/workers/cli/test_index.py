"""`panopticon index`, where it ends before any process is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.cli.conftest import Panopticon


@pytest.mark.parametrize("name", ["list.csv", "LIST.CSV", "-"])
def test_a_list_is_refused_with_the_command_that_takes_it(panopticon: Panopticon, name: str) -> None:
    Path(name).write_text("image_id,image_uri\n1,s3://bucket/1\n")
    assert panopticon("index", "--", name).complaint.endswith(f" is a list: panopticon submit {name}")


def test_a_folder_named_like_a_list_is_a_folder(panopticon: Panopticon) -> None:
    Path("list.csv").mkdir()
    Path("other.csv").symlink_to("nowhere")
    complaint = panopticon("index", "list.csv", "other.csv").complaint
    assert complaint == "cannot read other.csv: a link to nowhere, which does not exist"
