"""The contracts of every Topology, of every Uploads, and of announcements."""

from __future__ import annotations

import pytest

from panopticon.interfaces import Broker
from panopticon.messages import ImageMessage, Lane, encode
from tests.contracts.broker import BrokerAccess, bodies
from tests.contracts.examples import QUALITY, TAGGER, TAGGER_2

UPLOADED = ImageMessage(image_id="1")
DELETED = ImageMessage(image_id="1", revision=3, event="deleted")


class TopologyContract(BrokerAccess):
    def test_nothing_is_bound_at_first(self, broker: Broker) -> None:
        assert broker.topology.bound() == ()

    def test_bound_versions_are_returned_in_order(self, broker: Broker) -> None:
        for version in (TAGGER_2, QUALITY, TAGGER):
            broker.topology.bind(version)
        assert broker.topology.bound() == (QUALITY, TAGGER, TAGGER_2)

    def test_binding_is_seen_by_every_client(self, broker: Broker, other_broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        assert other_broker.topology.bound() == (TAGGER,)

    def test_after_binding_twice_each_upload_arrives_once(self, broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        broker.topology.bind(TAGGER)
        broker.uploads.publish([UPLOADED], Lane.LIVE)
        assert bodies(self.take(broker.model_queue(TAGGER))) == [encode(UPLOADED)]

    def test_uploads_do_not_reach_an_unbound_version(self, broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        broker.topology.unbind(TAGGER)
        broker.uploads.publish([UPLOADED], Lane.LIVE)
        assert self.take(broker.model_queue(TAGGER)) == []
        assert broker.topology.bound() == ()

    def test_messages_stay_when_their_version_is_unbound(self, broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        broker.uploads.publish([UPLOADED], Lane.LIVE)
        broker.topology.unbind(TAGGER)
        assert bodies(self.take(broker.model_queue(TAGGER))) == [encode(UPLOADED)]

    def test_unbinding_a_version_that_is_not_bound_is_harmless(self, broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        broker.topology.unbind(QUALITY)
        assert broker.topology.bound() == (TAGGER,)

    def test_an_empty_queue_is_dropped_with_its_binding(self, broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        assert broker.topology.drop_if_empty(TAGGER)
        assert broker.topology.bound() == ()

    def test_a_queue_with_a_ready_message_is_not_dropped(self, broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        broker.model_queue(TAGGER).submit([b"1"], Lane.BACKFILL)
        self.settle()
        assert not broker.topology.drop_if_empty(TAGGER)
        assert bodies(self.take(broker.model_queue(TAGGER))) == [b"1"]

    def test_a_queue_with_a_leased_message_is_not_dropped(self, broker: Broker, other_broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        broker.model_queue(TAGGER).submit([b"1"], Lane.LIVE)
        self.take(broker.model_queue(TAGGER))
        self.settle()
        assert not other_broker.topology.drop_if_empty(TAGGER)

    def test_a_queue_with_a_retrying_message_is_not_dropped(self, broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        queue = broker.model_queue(TAGGER)
        queue.submit([b"1"], Lane.LIVE)
        (delivery,) = self.take(queue)
        queue.retry(delivery, delay_s=self.retry_delay_s)
        self.settle()
        assert not broker.topology.drop_if_empty(TAGGER)


class UploadsContract(BrokerAccess):
    @pytest.mark.parametrize("lane", list(Lane))
    def test_an_upload_reaches_the_catalogue_and_every_bound_version(
        self, broker: Broker, lane: Lane
    ) -> None:
        broker.topology.bind(TAGGER)
        broker.topology.bind(QUALITY)
        broker.uploads.publish([UPLOADED], lane)
        for queue in (broker.catalogue(), broker.model_queue(TAGGER), broker.model_queue(QUALITY)):
            (delivery,) = self.take(queue)
            assert (delivery.body, delivery.lane) == (encode(UPLOADED), lane)

    def test_a_delete_reaches_the_catalogue_only(self, broker: Broker) -> None:
        broker.topology.bind(TAGGER)
        broker.uploads.publish([DELETED, UPLOADED], Lane.LIVE)
        assert bodies(self.take(broker.catalogue())) == [encode(DELETED), encode(UPLOADED)]
        assert bodies(self.take(broker.model_queue(TAGGER))) == [encode(UPLOADED)]

    def test_uploads_reach_the_catalogue_while_no_version_is_bound(self, broker: Broker) -> None:
        broker.uploads.publish([UPLOADED], Lane.LIVE)
        assert bodies(self.take(broker.catalogue())) == [encode(UPLOADED)]


class AnnouncementContract(BrokerAccess):
    def test_an_announcement_reaches_consumers_of_results_in_the_live_lane(self, broker: Broker) -> None:
        broker.announce(b"activated")
        (delivery,) = self.take(broker.results())
        assert (delivery.body, delivery.lane) == (b"activated", Lane.LIVE)

    def test_messages_for_other_consumers_need_none_of_them(self, broker: Broker) -> None:
        broker.publish_downstream([b"deleted"])
        broker.publish_downstream([])
        assert set(bodies(self.take(broker.results()))) <= {b"deleted"}
