"""The policies of the served versions, read again while versions come and go."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from panopticon.cards.cards import CardError, ModelCard, read_card
from panopticon.errors import Unavailable
from panopticon.interfaces import Store
from panopticon.registry.records import ModelEntry
from panopticon.settings import Settings
from storage.sqlite.database import path_of
from storage.stores import open_store
from tests.house import House
from tests.panopticon.null_card import write_null_card
from tests.workers.serving.faults.cards import write_card
from tests.workers.serving.running import running, wait_until
from workers.serving.policies import Policies


@pytest.fixture
def settings(house: House) -> Settings:
    return house.settings.model_copy(update={"registry_every_s": 0.05})


@pytest.fixture
def known(house: House, tmp_path: Path) -> ModelCard:
    card = write_null_card(tmp_path / "known")
    house.register(card)
    return card


@pytest.fixture
def changed(house: House, tmp_path: Path) -> ModelCard:
    """Another version, whose card is no longer the one that is registered."""
    house.register(write_null_card(tmp_path / "before", version=2))
    return write_null_card(tmp_path / "after", "\n[preprocessing]\ncrop = 0.5\n", version=2)


def is_known(policies: Policies, card: ModelCard) -> bool:
    return policies.number(card.version_name) is not None


def test_a_version_with_another_digest_is_refused_before_the_service_starts(
    settings: Settings, changed: ModelCard
) -> None:
    with pytest.raises(CardError, match="registered with digest"):
        Policies(settings).read([changed])


def test_a_version_with_another_digest_cannot_be_loaded(house: House, tmp_path: Path) -> None:
    models = tmp_path / "cards"
    write_card(models, "null")
    write_card(models, "changed")
    house.register(read_card(models / "changed1" / "card.toml"))
    with running(tmp_path, "null@1", database=house.settings.database, models_dir=models) as service:
        (models / "changed1" / "card.toml").unlink()
        (models / "changed1").rmdir()
        write_card(models, "changed", more="\n[preprocessing]\ncrop = 0.5\n")
        answer = service.ask("PUT", "/v1/models/changed@1")
        assert (answer.status, answer.json["type"]) == (409, "/v1/problems/conflict")
        assert "registered with digest" in answer.json["detail"]
        assert service.get("/v1/models/changed@1").status == 404


def test_a_version_that_cannot_have_a_policy_leaves_the_others_theirs(
    settings: Settings, known: ModelCard, changed: ModelCard
) -> None:
    policies = Policies(settings)
    policies.read([])
    policies.start()
    with closing(policies):
        policies.watch([changed, known])
        wait_until(lambda: is_known(policies, known), "the policies are read again")
        assert policies.of(known.version_name).policy_number == 1
        with pytest.raises(Unavailable, match="registered with digest"):
            policies.of(changed.version_name)


def test_a_version_that_comes_while_the_registry_is_read_gets_its_policy(
    settings: Settings, known: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_null_card(tmp_path / "new").folder / "card.toml"
    path.write_text(path.read_text().replace('"colour"', '"shade"'))
    new = read_card(path)
    policies = Policies(settings)

    def opened(url: str) -> Store:
        store = open_store(url)
        read = store.registry.read

        def read_slowly(model: str) -> ModelEntry | None:
            entry = read(model)
            policies.watch([known, new])
            return entry

        monkeypatch.setattr(store.registry, "read", read_slowly)
        return store

    policies.read([known])
    monkeypatch.setattr("workers.serving.policies.open_store", opened)
    policies.start()
    with closing(policies):
        wait_until(lambda: is_known(policies, new), "the policy of the new version is read")
        assert policies.of(known.version_name).policy_number == 1


def test_a_database_that_is_gone_does_not_bring_back_the_policy_of_the_card(
    settings: Settings, known: ModelCard
) -> None:
    policies = Policies(settings)
    policies.read([known])
    path = path_of(settings.store_url)
    path.rename(path.with_name("gone"))
    with pytest.raises(Unavailable, match="no longer there"):
        policies.read([known])
    assert policies.of(known.version_name).policy_number == 1
