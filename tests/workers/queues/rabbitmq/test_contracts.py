"""RabbitMQ fulfils the contracts of a broker's Protocols."""

from __future__ import annotations

from tests.contracts.broker import BrokerContract
from tests.contracts.queue import QueueContract
from tests.contracts.topology import AnnouncementContract, TopologyContract, UploadsContract
from tests.workers.queues.rabbitmq.access import RabbitAccess


class TestRabbitBroker(RabbitAccess, BrokerContract):
    pass


class TestRabbitQueue(RabbitAccess, QueueContract):
    pass


class TestRabbitTopology(RabbitAccess, TopologyContract):
    pass


class TestRabbitUploads(RabbitAccess, UploadsContract):
    pass


class TestRabbitAnnouncement(RabbitAccess, AnnouncementContract):
    pass
