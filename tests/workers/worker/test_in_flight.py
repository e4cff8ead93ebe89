"""The record of deliveries in flight: each is in one place, from its lease to its settlement."""

from __future__ import annotations

import pytest

from panopticon.errors import Transient
from panopticon.messages import Lane
from panopticon.scheduling.items import Item
from tests.workers.worker.images import leased
from workers.worker.in_flight import InFlight, LeasedImage
from workers.worker.outcomes import Skipped

RESET = Transient("connection_reset")


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight()


def give(in_flight: InFlight, image: LeasedImage, id_: int) -> Item:
    item = Item(id=id_, lane=Lane.LIVE, uri=image.uri)
    in_flight.given(image, item)
    return item


def tags(in_flight: InFlight) -> list[str]:
    return sorted(delivery.tag for delivery in in_flight.deliveries())


def one_in_each_place(in_flight: InFlight) -> None:
    in_flight.wait([leased("waiting")])
    give(in_flight, leased("at_model"), 1)
    in_flight.undecided(leased("undecided"), RESET)
    in_flight.finish(Skipped(delivery=leased("outcome").delivery))


def test_every_delivery_is_counted_and_renewed_wherever_it_is(in_flight: InFlight) -> None:
    one_in_each_place(in_flight)
    assert len(in_flight) == 4
    assert tags(in_flight) == ["at_model", "outcome", "undecided", "waiting"]
    assert (in_flight.waiting, in_flight.at_model, in_flight.has_undecided) == (1, 1, True)


def test_release_returns_everything_but_outcomes(in_flight: InFlight) -> None:
    one_in_each_place(in_flight)
    assert sorted(delivery.tag for delivery in in_flight.release()) == ["at_model", "undecided", "waiting"]
    assert (len(in_flight), tags(in_flight)) == (1, ["outcome"])


def test_settled_outcomes_are_gone(in_flight: InFlight) -> None:
    one_in_each_place(in_flight)
    in_flight.settled()
    assert tags(in_flight) == ["at_model", "undecided", "waiting"]


def test_images_wait_in_the_order_of_their_lease_until_they_are_taken(in_flight: InFlight) -> None:
    images = [leased(str(number)) for number in range(4)]
    in_flight.wait(images)
    assert in_flight.next_waiting(2) == images[:2]
    assert in_flight.waiting == 4
    in_flight.take_waiting(2)
    assert in_flight.next_waiting(9) == images[2:]


def test_an_answer_finds_the_image_of_its_item_and_removes_it(in_flight: InFlight) -> None:
    first, second = leased("1"), leased("2", host="https://b")
    items = [give(in_flight, first, 1), give(in_flight, second, 2)]
    assert in_flight.hosts_at_model == {"https://a", "https://b"}
    assert in_flight.answered(items[1]) is second
    assert (in_flight.at_model, in_flight.hosts_at_model) == (1, {"https://a"})


def test_undecided_failures_are_taken_host_by_host(in_flight: InFlight) -> None:
    for image_id, host in (("1", "https://a"), ("2", "https://b"), ("3", "https://a")):
        in_flight.undecided(leased(image_id, host=host), RESET)
    taken = in_flight.take_undecided(lambda host: host == "https://a")
    assert [failure.image.key.image_id for failure in taken] == ["1", "3"]
    assert tags(in_flight) == ["2"]
