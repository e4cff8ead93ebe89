"""The share of a GPU that each library is given. No GPU is needed, and none is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.cards.cards import ModelCard, read_card
from panopticon.engines.gpu_memory import (
    fraction,
    jax_environment,
    limit_gpu_memory,
    refuse_overcommitted_gpu,
)
from panopticon.errors import UsageError
from tests.panopticon.null_card import write_null_card


def card(folder: Path, share_mb: int, *, version: int = 1) -> ModelCard:
    path = write_null_card(folder / f"v{version}", version=version).folder / "card.toml"
    text = path.read_text("utf-8").replace("memory_mb", f"gpu_memory_mb = {share_mb}, memory_mb")
    path.write_text(text, "utf-8")
    return read_card(path)


def test_a_share_is_a_fraction_of_the_gpu_and_never_more_than_it() -> None:
    assert [fraction(share_mb=share, total_mb=8000) for share in (2000, 8000, 9000)] == [0.25, 1.0, 1.0]


def test_jax_takes_its_fraction_and_reserves_nothing_beforehand() -> None:
    assert jax_environment(share_mb=2000, total_mb=8000) == {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.2500",
    }


def test_without_a_gpu_a_share_changes_nothing() -> None:
    limit_gpu_memory("tensorflow", share_mb=1000)
    limit_gpu_memory("jax", share_mb=1000)
    limit_gpu_memory("torch", share_mb=0)


def test_a_share_is_no_part_of_the_digest(tmp_path: Path) -> None:
    assert card(tmp_path / "one", 1000).digest == write_null_card(tmp_path / "other").digest


def test_shares_that_fit_are_accepted_and_so_are_any_without_a_gpu(tmp_path: Path) -> None:
    refuse_overcommitted_gpu([(card(tmp_path, 4000), 2)], 8000)
    refuse_overcommitted_gpu([(card(tmp_path, 4000), 3)], None)


def test_shares_that_exceed_the_gpu_are_refused_with_the_sum(tmp_path: Path) -> None:
    asked = [(card(tmp_path, 3000), 2), (card(tmp_path, 2001, version=2), 1), (write_null_card(tmp_path), 9)]
    expected = r"2 × colour@1 3000 \+ 1 × colour@2 2001 = 8001 MB is more than the GPU's 8000 MB"
    with pytest.raises(UsageError, match=expected):
        refuse_overcommitted_gpu(asked, 8000)
