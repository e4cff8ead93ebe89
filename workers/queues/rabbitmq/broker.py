"""A `Broker` on RabbitMQ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from panopticon.interfaces import Finding
from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.bindings import RabbitTopology
from workers.queues.rabbitmq.client import RabbitClient
from workers.queues.rabbitmq.dead_letters import envelope_of
from workers.queues.rabbitmq.diagnosis import diagnose_broker
from workers.queues.rabbitmq.queue import RabbitQueue
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.transport.publisher import OutgoingMessage, Route
from workers.queues.rabbitmq.uploads import RabbitUploads
from workers.queues.rabbitmq.url import address_of

MAX_RESULTS = 100_000
WINDOW = 1_000
CALL_S = 10.0


class RabbitBroker:
    """A `Broker` that connects at first use, and declares whatever is missing then."""

    def __init__(
        self,
        url: str,
        *,
        retry_delays_s: Sequence[float],
        max_results: int = MAX_RESULTS,
        window: int = WINDOW,
        call_s: float = CALL_S,
    ) -> None:
        """Connect to nothing yet.

        `max_results`: the most messages in a search queue before it refuses more. `window`: the most
        messages that are sent and not yet confirmed. `call_s`: the time without any progress after which a
        call fails.

        Raises: UsageError for a URL that does not name a broker.
        """
        self._client = RabbitClient(
            address_of(url),
            retry_delays_s=retry_delays_s,
            max_results=max_results,
            window=window,
            call_s=call_s,
        )
        self._model_queues: dict[VersionName, RabbitQueue] = {}
        routes = {lane: Route(names.RESULTS, key) for lane, key in names.RESULT.items()}
        self._results = RabbitQueue(self._client, names.SEARCH, routes=routes)
        self._catalogue = RabbitQueue(self._client, names.CATALOGUE)
        self._undeliverable = RabbitQueue(self._client, {Lane.LIVE: names.UNDELIVERABLE}, opener=envelope_of)

    @property
    def depth_lag_s(self) -> float:
        return self._client.address.counted_s

    @cached_property
    def topology(self) -> RabbitTopology:
        return RabbitTopology(self._client)

    @cached_property
    def uploads(self) -> RabbitUploads:
        return RabbitUploads(self._client)

    def model_queue(self, version: VersionName) -> RabbitQueue:
        # Only the object that received a message can ack it, so there is one for each queue.
        if version not in self._model_queues:
            queues = names.queues_of(version)
            self._model_queues[version] = RabbitQueue(self._client, queues, version=version)
        return self._model_queues[version]

    def results(self) -> RabbitQueue:
        return self._results

    def catalogue(self) -> RabbitQueue:
        return self._catalogue

    def undeliverable(self) -> RabbitQueue:
        return self._undeliverable

    def announce(self, body: bytes) -> None:
        message = OutgoingMessage(Route(names.RESULTS, names.MODEL_EVENT), body)
        self._client.call_at_length(self._client.publish([message]))

    def publish_downstream(self, bodies: Sequence[bytes]) -> None:
        # The indexer's own queues are not bound to this key: a full one would refuse the messages of the only
        # process that can empty it.
        if bodies:
            route = Route(names.RESULTS, names.DOWNSTREAM)
            messages = [OutgoingMessage(route, body, mandatory=False) for body in bodies]
            self._client.call_at_length(self._client.publish(messages))

    def diagnose(self) -> list[Finding]:
        return diagnose_broker(self._client)

    def close(self) -> None:
        self._client.close()
