"""The record of deliveries in flight: each is in one place, from its lease to its settlement."""

from __future__ import annotations

import pytest

from panopticon.errors import Transient
from tests.workers.worker.images import leased
from workers.worker.in_flight import InFlight, UndecidedFailure
from workers.worker.outcomes import Skipped

RESET = Transient("connection_reset")


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight()


def tags(in_flight: InFlight) -> list[str]:
    return sorted(delivery.tag for delivery in in_flight.deliveries())


def one_in_each_place(in_flight: InFlight) -> None:
    in_flight.waiting.append(leased("waiting"))
    in_flight.at_model[1] = leased("at_model")
    in_flight.undecided.append(UndecidedFailure(image=leased("undecided"), error=RESET))
    in_flight.outcomes.append(Skipped(delivery=leased("outcome").delivery))


def test_every_delivery_is_counted_and_renewed_wherever_it_is(in_flight: InFlight) -> None:
    one_in_each_place(in_flight)
    assert len(in_flight) == 4
    assert tags(in_flight) == ["at_model", "outcome", "undecided", "waiting"]


def test_release_returns_everything_but_outcomes(in_flight: InFlight) -> None:
    one_in_each_place(in_flight)
    assert sorted(delivery.tag for delivery in in_flight.release()) == ["at_model", "undecided", "waiting"]
    assert (len(in_flight), tags(in_flight)) == (1, ["outcome"])


def test_the_hosts_that_are_still_to_answer_are_those_of_the_images_at_the_model(in_flight: InFlight) -> None:
    in_flight.waiting.append(leased("0", host="https://c"))
    in_flight.at_model |= {1: leased("1"), 2: leased("2", host="https://b")}
    assert in_flight.hosts_at_model == {"https://a", "https://b"}
    del in_flight.at_model[2]
    assert in_flight.hosts_at_model == {"https://a"}


def test_undecided_failures_are_taken_host_by_host(in_flight: InFlight) -> None:
    for image_id, host in (("1", "https://a"), ("2", "https://b"), ("3", "https://a")):
        in_flight.undecided.append(UndecidedFailure(image=leased(image_id, host=host), error=RESET))
    taken = in_flight.take_undecided(lambda host: host == "https://a")
    assert [failure.image.key.image_id for failure in taken] == ["1", "3"]
    assert tags(in_flight) == ["2"]
