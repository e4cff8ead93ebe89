"""The `Topology` of RabbitMQ: a version is bound while its exchange is bound to that of the uploads."""

from __future__ import annotations

from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.client import RabbitClient
from workers.queues.rabbitmq.topology import names


class RabbitTopology:
    """A `Topology`."""

    def __init__(self, client: RabbitClient) -> None:
        self._client = client

    def bind(self, version: VersionName) -> None:
        self._client.call(self._client.declarer.bind(version))

    def unbind(self, version: VersionName) -> None:
        self._client.call(self._client.declarer.unbind(version))

    def drop_if_empty(self, version: VersionName, *, idle_s: float = 0.0) -> bool:
        """Delete the queues unless a message may be in them.

        The queues stay while a worker is subscribed, since the broker counts its messages too late to be
        sure. They stay while any message is in a retry queue of `idle_s` or more, since it may be theirs. If
        an upload arrives during the check, the version is unbound and its queues stay.

        Raises: Unavailable, also without the management plug-in.
        """
        if self._in_use(version, idle_s):
            return False
        # An upload may have arrived since the count; after the unbinding none can.
        self._client.call(self._client.declarer.unbind(version))
        if self._in_use(version, idle_s):
            return False
        self._client.call(self._client.declarer.delete(version))
        return True

    def bound(self) -> tuple[VersionName, ...]:
        """Return the bound versions, sorted. Raises: Unavailable, also without the management plug-in."""
        bindings = self._client.management.bound_to(names.UPLOADS)
        versions = (names.version_of(name) for key, name in bindings if key == names.UPLOADED[Lane.LIVE])
        return tuple(sorted(version for version in versions if version))

    def _in_use(self, version: VersionName, idle_s: float) -> bool:
        counts = self._client.management.counts()
        retry_queues = self._client.retry_queues_among(counts, at_least_s=idle_s)
        queues = {*names.queues_of(version).values(), *retry_queues}
        queue_counts = self._client.call(self._client.declarer.counts(queues))
        return any(counts[queue].messages for queue in queues & counts.keys()) or any(
            each.ready or each.consumers for each in queue_counts.values()
        )
