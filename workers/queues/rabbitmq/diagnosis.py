"""What can be said of one broker without changing it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Finding, Health
from workers.queues.rabbitmq import names
from workers.queues.rabbitmq.client import Client
from workers.queues.rabbitmq.declarations import Arguments, Plan, plan_of

OLDEST = (3, 10)
"""The first that dead-letters quorum queues without loss."""


def diagnose_broker(client: Client) -> list[Finding]:
    """Server, what its management knows, queues that are not as they should be, messages nobody asked for."""
    try:
        return [_version(client), *_managed(client)]
    except (Unavailable, UsageError) as error:
        said = error.reason if isinstance(error, Unavailable) else str(error)
        advice = "start it, or correct broker in the settings"
        return [_finding("server", Health.FAIL, said, advice, last=True)]


def _version(client: Client) -> Finding:
    version = client.call(client.server_version())
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        return _finding("server", Health.FAIL, f"RabbitMQ {version}", "use 3.10 or newer", last=True)
    return _finding("server", Health.OK, f"RabbitMQ {version}")


def _managed(client: Client) -> Iterator[Finding]:
    try:
        found = client.management.arguments()
        unrouted = client.management.counts().get(names.UNROUTED)
    except (Unavailable, UsageError) as error:
        said = error.reason if isinstance(error, Unavailable) else str(error)
        advice = "enable rabbitmq_management, and name it in the URL: without it nothing can be counted"
        # Whatever is asked next counts.
        yield _finding("management", Health.FAIL, said, advice, last=True)
        return
    yield _finding("management", Health.OK, client.address.management)
    yield _queues(client, found)
    if unrouted and unrouted.messages:
        yield _finding(
            "unrouted",
            Health.WARN,
            f"{unrouted.messages:,} messages that no queue wanted wait in {names.UNROUTED}",
            "publish uploads with the routing key image.uploaded or image.deleted",
        )


def _queues(client: Client, found: Mapping[str, Arguments]) -> Finding:
    versions = filter(None, map(names.version_of, found))
    plans = [client.shared, *map(plan_of, sorted(set(versions)))]
    if differing := sorted(set(_differing(plans, found))):
        return _finding(
            "queues",
            Health.FAIL,
            f"made otherwise than they should be: {'; '.join(differing)}",
            "drain and delete each; whatever is missing is made at the next start",
        )
    return _finding("queues", Health.OK, f"{len(found)}, as they should be" if found else "none yet")


def _differing(plans: list[Plan], found: Mapping[str, Arguments]) -> Iterator[str]:
    """Such as `panopticon.search.live (x-max-length)`."""
    for plan in plans:
        for queue in plan.queues:
            theirs = found.get(queue.name, queue.arguments)
            keys = theirs.keys() | queue.arguments.keys()
            if others := sorted(key for key in keys if theirs.get(key) != queue.arguments.get(key)):
                yield f"{queue.name} ({', '.join(others)})"


def _finding(what: str, health: Health, seen: str, advice: str = "", *, last: bool = False) -> Finding:
    return Finding(check=f"broker: {what}", health=health, seen=seen, advice=advice, last=last)
