"""A `Topology` on RabbitMQ: a version is bound when the exchange of its queues is bound to the uploads."""

from __future__ import annotations

from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.client import Client
from workers.queues.rabbitmq.topology import names


class RabbitTopology:
    def __init__(self, client: Client) -> None:
        self._client = client

    def bind(self, version: VersionName) -> None:
        self._client.call(self._client.declarer.bind(version))

    def unbind(self, version: VersionName) -> None:
        self._client.call(self._client.declarer.unbind(version))

    def drop_if_empty(self, version: VersionName, *, idle_s: float = 0.0) -> bool:
        """It stays while a worker is subscribed, too: what that holds is counted too late to be sure; and
        while anything is in a retry queue of `idle_s` or more, since whose that is cannot be told. Raises:
        Unavailable without the management plug-in, too."""
        if self._in_use(version, idle_s):
            return False
        self._client.call(self._client.declarer.unbind(version))
        if self._in_use(version, idle_s):
            return False
        self._client.call(self._client.declarer.delete(version))
        return True

    def bound(self) -> tuple[VersionName, ...]:
        """Raises: Unavailable without the management plug-in, too."""
        bindings = self._client.management.bound_to(names.UPLOADS)
        versions = (names.version_of(name) for key, name in bindings if key == names.UPLOADED[Lane.LIVE])
        return tuple(sorted(version for version in versions if version))

    def _in_use(self, version: VersionName, idle_s: float) -> bool:
        counts = self._client.management.counts()
        retry_delays = self._client.retry_queues_among(counts, at_least_s=idle_s)
        queues = {*names.queues_of(version).values(), *retry_delays}
        queue_counts = self._client.call(self._client.declarer.counts(queues))
        return any(counts[queue].messages for queue in queues & counts.keys()) or any(
            each.ready or each.consumers for each in queue_counts.values()
        )
