"""A policy is trusted for a limited time, and results are made by the present one."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from panopticon.errors import Unavailable, UsageError
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from tests.house import House
from tests.workers.registry.conftest import CardOf
from workers.registry.policy_cache import PolicyCache
from workers.worker.run import present_policy

COLOUR = VersionName(model="colour", version=1)
RENAMED = 'renamed = { red = "rot" }\n'


@pytest.fixture
def house(house: House, card_of: CardOf) -> House:
    house.register(card_of())
    return house


@pytest.fixture
def policies(house: House) -> PolicyCache:
    house.clock.now_s = 0.0
    return PolicyCache(house.store.registry, house.store.archive, Settings(), clock=house.clock.monotonic)


def number(policies: PolicyCache) -> int:
    policy = policies.of(COLOUR)
    assert policy is not None
    return policy.policy_number


def test_a_new_policy_is_known_after_five_seconds(house: House, policies: PolicyCache) -> None:
    assert number(policies) == 1
    house.put_policy(COLOUR, RENAMED)
    house.clock.now_s = 4.9
    assert number(policies) == 1
    house.clock.now_s = 5.0
    assert number(policies) == 2


def test_a_former_policy_is_freed_from_memory(house: House, policies: PolicyCache) -> None:
    policy = policies.of(COLOUR)
    assert policy is not None
    former = weakref.ref(policy.evaluator)
    del policy
    house.put_policy(COLOUR, RENAMED)
    house.clock.now_s = 5.0
    assert (number(policies), former()) == (2, None)


def test_a_new_policy_is_applied_to_the_labels_of_the_archived_card(
    house: House, policies: PolicyCache
) -> None:
    house.put_policy(COLOUR, RENAMED)
    policy = policies.of(COLOUR)
    assert policy is not None
    assert dict(policy.evaluator.evaluate(np.array([0.5, 0, 0])).scores) == {
        "rot": 0.5,
        "green": 0,
        "blue": 0,
    }


@pytest.mark.parametrize("toml", ["of = 'old'\n", "top_k = \n", "[rollup]\nanimal = 'sum'\n"])
def test_an_invalid_policy_is_reported_with_its_version_and_the_way_out(
    house: House, policies: PolicyCache, toml: str
) -> None:
    house.put_policy(COLOUR, toml)
    with pytest.raises(
        UsageError, match=r"^colour@1 has a policy 2 .*: panopticon policy apply colour@1 FILE$"
    ):
        number(policies)


def test_policies_are_trusted_for_fifteen_seconds_while_the_registry_is_down(
    house: House, policies: PolicyCache
) -> None:
    assert number(policies) == 1
    house.journal.down = {"registry"}
    house.clock.now_s = 15.0
    assert number(policies) == 1
    house.clock.now_s = 20.0
    with pytest.raises(Unavailable, match="registry unavailable"):
        number(policies)


def test_a_policy_that_is_too_old_is_not_trusted_between_two_reads_either(
    house: House, policies: PolicyCache
) -> None:
    assert number(policies) == 1
    house.journal.down = {"registry"}
    house.clock.now_s = 14.0
    number(policies)
    house.clock.now_s = 15.5
    with pytest.raises(Unavailable, match="could not be read for too long"):
        number(policies)


def test_policies_are_trusted_again_when_the_registry_is_back(house: House, policies: PolicyCache) -> None:
    number(policies)
    house.journal.down = {"registry"}
    house.clock.now_s = 20.0
    with pytest.raises(Unavailable):
        number(policies)
    house.journal.down.clear()
    house.clock.now_s = 25.0
    assert number(policies) == 1


def test_the_registry_is_read_once_in_five_seconds_however_often_a_policy_is_asked_for(
    house: House, policies: PolicyCache
) -> None:
    for tenth in range(100):
        house.clock.now_s = tenth / 10
        number(policies)
    assert house.journal.steps.count("registry.read") == 2


def test_an_unknown_version_has_no_policy(policies: PolicyCache) -> None:
    assert policies.of(VersionName(model="colour", version=9)) is None
    assert policies.of(VersionName(model="nobody", version=1)) is None


def test_publishing_for_a_version_that_the_registry_does_not_know_parks(policies: PolicyCache) -> None:
    """A version without a record has no policy to publish by, so its results wait."""
    assert present_policy(policies, COLOUR).policy_number == 1
    with pytest.raises(Unavailable, match="the registry does not know nobody@1 any more"):
        present_policy(policies, VersionName(model="nobody", version=1))
