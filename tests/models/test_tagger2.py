"""The second version of the tagger, which tests compare, activate and roll back."""

from __future__ import annotations

from pathlib import Path

from panopticon.handover.check_card import check_card
from panopticon.models import find_card, parse_version

MODELS = Path(__file__).parent


def test_every_check_of_the_second_tagger_passes(cache_dir: Path) -> None:
    lines = list(check_card(find_card(parse_version("tagger@2"), MODELS), cache_dir=cache_dir))
    assert [line for line in lines if not line.ok or line.skipped] == []


def test_the_second_tagger_is_another_version_of_the_shipped_one() -> None:
    first, second = (find_card(parse_version(name), MODELS) for name in ("tagger@1", "tagger@2"))
    assert first.digest != second.digest
    assert first.labels == second.labels
