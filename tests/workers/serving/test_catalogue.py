"""Versions are loaded while others are served, and what fails there harms none of the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from panopticon.cards.cards import ModelCard
from panopticon.errors import UsageError
from panopticon.metrics import Metrics
from panopticon.scheduling.gate import Gate
from tests.panopticon.null_card import write_null_card
from tests.workers.serving.hand_replica import HandReplica
from workers.serving.catalogue import ServedCatalogue
from workers.serving.served_model import ModelState, ServedModel


def served(card: ModelCard) -> ServedModel:
    return ServedModel(
        card,
        replicas=lambda report, _: [HandReplica(report)],
        gate=Gate(max_places=9, max_bytes=99),
        metrics=Metrics(),
    )


@pytest.mark.parametrize("fault", [UsageError("no such engine"), OSError("No space left on device")])
def test_a_version_that_cannot_be_prepared_is_down_with_the_reason(tmp_path: Path, fault: Exception) -> None:
    def prepare() -> None:
        raise fault

    async def load() -> ServedModel:
        catalogue = ServedCatalogue(
            serve=served, active=lambda _: None, changed=lambda _: None, unload_timeout_s=60
        )
        loading = catalogue.load(write_null_card(tmp_path), prepare=prepare)
        async with asyncio.timeout(60):
            while loading.state is ModelState.LOADING:
                await asyncio.sleep(0.01)
        return loading

    loaded = asyncio.run(load())
    assert loaded.state is ModelState.DOWN
    assert str(fault) in str(loaded.down)
