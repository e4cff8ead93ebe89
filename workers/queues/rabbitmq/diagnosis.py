"""What can be said of one broker without changing it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Finding, Health
from workers.queues.rabbitmq.admin.management import Alarm, Management
from workers.queues.rabbitmq.client import Client
from workers.queues.rabbitmq.errors import GIVE_PERMISSIONS
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.topology.declarations import Plan
from workers.queues.rabbitmq.topology.inventory import Inventory

OLDEST = (3, 10)
"""The first that dead-letters quorum queues without loss."""

ROOM = {
    "disk": "make room on its disk, or lower its disk_free_limit",
    "memory": "give it more memory, or let workers and indexers empty its queues",
}


def diagnose_broker(client: Client) -> list[Finding]:
    """Server, what its management knows, what is not as it should be, what is not allowed."""
    try:
        return [_version(client), *_managed(client)]
    except (Unavailable, UsageError) as error:
        advice = "start it, or correct broker in the settings"
        return [_finding("server", Health.FAIL, _said(error), advice, last=True)]


def _version(client: Client) -> Finding:
    version = client.call(client.server_version())
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        return _finding("server", Health.FAIL, f"RabbitMQ {version}", "use 3.10 or newer", last=True)
    return _finding("server", Health.OK, f"RabbitMQ {version}")


def _managed(client: Client) -> Iterator[Finding]:
    management = client.management
    try:
        there, alarms = _inventory(management), management.alarms()
        unrouted = management.counts().get(names.UNROUTED)
    except (Unavailable, UsageError) as error:
        advice = "enable rabbitmq_management, and name it in the URL: without it nothing can be counted"
        # Whatever is asked next counts.
        yield _finding("management", Health.FAIL, _said(error), advice, last=True)
        return
    yield _finding("management", Health.OK, client.address.management)
    yield _alarms(alarms)
    yield from _declared(there, client.shared)
    # In an alarm no question that publishes is answered.
    if not alarms:
        yield _permissions(client)
    if unrouted and unrouted.messages:
        yield _finding(
            "unrouted",
            Health.WARN,
            f"{unrouted.messages:,} messages that no queue wanted wait in {names.UNROUTED}",
            "publish uploads with the routing key image.uploaded or image.deleted",
        )


def _inventory(management: Management) -> Inventory:
    return Inventory(
        exchanges=management.exchanges(),
        queues=management.arguments(),
        bindings=frozenset(management.bindings()),
    )


def _alarms(alarms: Sequence[Alarm]) -> Finding:
    if not alarms:
        return _finding("alarms", Health.OK, "none")
    seen = "; ".join(f"{alarm.node} is out of {alarm.resource}" for alarm in alarms)
    advice = "; ".join(sorted({ROOM.get(alarm.resource, "see its log") for alarm in alarms}))
    return _finding("alarms", Health.FAIL, f"{seen}: it takes no messages", advice)


def _declared(there: Inventory, shared: Plan) -> list[Finding]:
    """What nobody has begun to make yet is no defect."""
    plans = there.plans(shared)
    if not any(map(there.holds_any, plans)):
        return [_finding(what, Health.OK, "none yet") for what in ("queues", "exchanges")]
    queues = [other for plan in plans for other in there.other_queues(plan)]
    exchanges = [other for plan in plans for other in there.other_exchanges(plan)]
    return [
        _checked("queues", queues, "drain and delete each that differs"),
        _checked("exchanges", exchanges, "delete each that differs"),
    ]


def _checked(what: str, others: Sequence[str], advice: str) -> Finding:
    if not others:
        return _finding(what, Health.OK, "as they should be")
    seen = f"otherwise than they should be: {'; '.join(others)}"
    return _finding(what, Health.FAIL, seen, f"{advice}; whatever is missing is made at the next start")


def _permissions(client: Client) -> Finding:
    user = client.address.user
    if missing := client.call(client.missing_permissions()):
        seen = f"user {user!r} may not {', '.join(missing)}"
        return _finding("permissions", Health.FAIL, seen, GIVE_PERMISSIONS)
    return _finding("permissions", Health.OK, f"user {user!r} may configure, write and read")


def _said(error: Unavailable | UsageError) -> str:
    return error.reason if isinstance(error, Unavailable) else str(error)


def _finding(what: str, health: Health, seen: str, advice: str = "", *, last: bool = False) -> Finding:
    return Finding(check=f"broker: {what}", health=health, seen=seen, advice=advice, last=last)
