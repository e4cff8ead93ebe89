"""`panopticon worker`: mistakes in what runs the model are one line, before anything is leased."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.cli.conftest import Panopticon
from tests.workers.faults.pipeline import MODELS


@pytest.mark.parametrize(
    "url", ["ftp://espresso.example", "espresso.example:8080", "http://", "http://a?b=c"]
)
def test_an_address_that_is_none_is_a_mistake_that_names_the_setting(
    panopticon: Panopticon, url: str
) -> None:
    complaint = panopticon("worker", "--model", "tagger@1", "--espresso", url).complaint
    assert complaint == f"setting 'espresso' is {url!r}; it must be like http://espresso.example:8080"


def test_a_password_in_the_address_is_refused_and_not_shown(panopticon: Panopticon) -> None:
    complaint = panopticon("worker", "--model", "tagger@1", "--espresso", "http://me:s3cret@host").complaint
    assert "espresso_token" in complaint
    assert "s3cret" not in complaint


def test_the_setting_is_checked_like_the_option(
    panopticon: Panopticon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PANOPTICON_ESPRESSO", "ftp://espresso.example")
    monkeypatch.setenv("PANOPTICON_MODELS_DIR", str(MODELS))
    assert "setting 'espresso'" in panopticon("worker", "--model", "null@1", "--replicas", "2").complaint
    assert list(tmp_path.glob("cache*")) == []
