"""The health of one broker, read without changing it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Finding
from storage.health.findings import fail, ok, warn
from workers.queues.rabbitmq.admin.management import Alarm, Replicas
from workers.queues.rabbitmq.client import RabbitClient
from workers.queues.rabbitmq.errors import GIVE_PERMISSIONS
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.topology.declarations import Declarations
from workers.queues.rabbitmq.topology.inventory import Inventory

OLDEST = (3, 10)
"""The first version that dead-letters quorum queues without loss."""

ROOM = {
    "disk": "make room on its disk, or lower its disk_free_limit",
    "memory": "give it more memory, or let workers and indexers empty its queues",
}


def diagnose_broker(client: RabbitClient) -> list[Finding]:
    """Check server, management plug-in, alarms, declarations, permissions and unrouted messages."""
    try:
        return [_server(client), *_managed(client)]
    except (Unavailable, UsageError) as error:
        advice = "start it, or correct broker in the settings"
        return [fail("broker: server", _reason(error), advice, last=True)]


def _server(client: RabbitClient) -> Finding:
    version = client.call(client.server_version())
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        return fail("broker: server", f"RabbitMQ {version}", "use 3.10 or newer", last=True)
    return ok("broker: server", f"RabbitMQ {version}")


def _managed(client: RabbitClient) -> Iterator[Finding]:
    management = client.management
    try:
        inventory = Inventory(
            exchanges=management.exchanges(),
            queues=management.arguments(),
            bindings=frozenset(management.bindings()),
        )
        alarms = management.alarms()
        replicas = management.replicas()
        unrouted = management.counts().get(names.UNROUTED)
    except (Unavailable, UsageError) as error:
        advice = "enable rabbitmq_management, and name it in the URL: without it nothing can be counted"
        # Every further question counts messages.
        yield fail("broker: management", _reason(error), advice, last=True)
        return
    yield ok("broker: management", client.address.management)
    yield _alarms(alarms)
    yield from _declared(inventory, client.shared)
    yield _replicas(replicas)
    # During an alarm the broker does not answer questions that publish.
    if not alarms:
        yield _permissions(client)
    if unrouted and unrouted.messages:
        yield warn(
            "broker: unrouted",
            f"{unrouted.messages:,} messages with an unknown routing key are in {names.UNROUTED}",
            "publish uploads with the routing key image.uploaded or image.deleted",
        )


def _alarms(alarms: Sequence[Alarm]) -> Finding:
    if not alarms:
        return ok("broker: alarms", "none")
    seen = "; ".join(f"{alarm.node} is out of {alarm.resource}" for alarm in alarms)
    advice = "; ".join(sorted({ROOM.get(alarm.resource, "see its log") for alarm in alarms}))
    return fail("broker: alarms", f"{seen}: it takes no messages", advice)


def _replicas(replicas: Mapping[str, Replicas]) -> Finding:
    check = "broker: replicas"
    if leaderless := sorted(name for name, each in replicas.items() if each.leader is None):
        offline = sorted(
            {node for name in leaderless for node in replicas[name].members - replicas[name].online}
        )
        return fail(
            check,
            f"no leader: {', '.join(leaderless)}; offline: {', '.join(offline) or 'no node'}",
            "start the nodes that are offline: a queue works while more than half of its nodes are online; "
            "if all are, see the broker's log",
        )
    offline = sorted({node for each in replicas.values() for node in each.members - each.online})
    if offline:
        return warn(check, f"offline: {', '.join(offline)}", "start it, before another node stops")
    return ok(check, "every queue has its leader, and all its nodes are online")


def _declared(inventory: Inventory, shared: Declarations) -> list[Finding]:
    expected = inventory.expected(shared)
    # A broker on which nothing is declared yet is a new one, and not a damaged one.
    if not any(map(inventory.holds_any, expected)):
        return [ok(f"broker: {kind}", "none yet") for kind in ("queues", "exchanges")]
    queues = [difference for each in expected for difference in inventory.queue_differences(each)]
    exchanges = [difference for each in expected for difference in inventory.exchange_differences(each)]
    return [
        _compared("broker: queues", queues, "drain and delete each that differs"),
        _compared("broker: exchanges", exchanges, "delete each that differs"),
    ]


def _compared(check: str, differences: Sequence[str], advice: str) -> Finding:
    if not differences:
        return ok(check, "as declared")
    seen = f"different from their declarations: {'; '.join(differences)}"
    return fail(check, seen, f"{advice}; whatever is missing is declared at the next start")


def _permissions(client: RabbitClient) -> Finding:
    user = client.address.user
    if missing := client.call(client.missing_permissions()):
        return fail("broker: permissions", f"user {user!r} may not {', '.join(missing)}", GIVE_PERMISSIONS)
    return ok("broker: permissions", f"user {user!r} may configure, write and read")


def _reason(error: Unavailable | UsageError) -> str:
    return error.reason if isinstance(error, Unavailable) else str(error)
