"""The HTTP interface of a broker's management plug-in, for questions that AMQP cannot ask."""

from __future__ import annotations

import http.client
import json
import ssl
from base64 import b64encode
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from panopticon.errors import UsageError
from workers.queues.rabbitmq.errors import down
from workers.queues.rabbitmq.topology.declarations import Arguments, Binding, Exchange
from workers.queues.rabbitmq.url import RabbitAddress

# Brokers that know these options answer without histories, and faster; older ones ignore them.
_COUNTS = "disable_stats=true&enable_queue_totals=true"


class DelayedCount(NamedTuple):
    """The counts of one queue, which a quorum queue takes every 5 s only."""

    messages: int
    """All messages, those on their way to another queue included."""
    leased: int


class Replicas(NamedTuple):
    """The nodes of a cluster that hold one quorum queue."""

    leader: str | None
    """The node through which everything passes; None while the queue takes and gives no messages."""
    online: frozenset[str]
    members: frozenset[str]
    """All nodes that hold it, online or not."""


class Alarm(NamedTuple):
    """A resource that a node has run out of."""

    node: str
    resource: str
    """`memory` or `disk`."""


class Management:
    """A client that opens one connection for each question. It ignores proxies of the environment.

    Every question raises: Unavailable without the plug-in, UsageError for a refused login.
    """

    def __init__(self, address: RabbitAddress, *, limit_s: float) -> None:
        self._address = address
        self._limit_s = limit_s

    def counts(self) -> dict[str, DelayedCount]:
        """Return the counts of every queue, by its name."""
        rows = self._get(f"/api/queues/{self._vhost}?{_COUNTS}") or []
        return {
            row["name"]: DelayedCount(row.get("messages", 0), row.get("messages_unacknowledged", 0))
            for row in rows
        }

    def bound_to(self, exchange: str) -> list[tuple[str, str]]:
        """Return routing key and name of every exchange that is bound to this one."""
        rows = self._get(f"/api/exchanges/{self._vhost}/{quote(exchange, safe='')}/bindings/source") or []
        return [
            (row["routing_key"], row["destination"]) for row in rows if row["destination_type"] == "exchange"
        ]

    def arguments(self) -> dict[str, Arguments]:
        """Return the arguments that every queue was declared with, by its name."""
        rows = self._get(f"/api/queues/{self._vhost}?{_COUNTS}") or []
        return {row["name"]: row["arguments"] for row in rows}

    def replicas(self) -> dict[str, Replicas]:
        """Return the nodes of every quorum queue, by its name."""
        rows = self._get(f"/api/queues/{self._vhost}?{_COUNTS}") or []
        return {
            row["name"]: Replicas(row.get("leader"), frozenset(row["online"]), frozenset(row["members"]))
            for row in rows
            # Queues of other programs in this virtual host may be of another type.
            if row.get("type") == "quorum"
        }

    def exchanges(self) -> dict[str, Exchange]:
        """Return every exchange by its name, including those that the broker itself makes."""
        rows = self._get(f"/api/exchanges/{self._vhost}") or []
        return {
            row["name"]: Exchange(name=row["name"], kind=row["type"], arguments=row["arguments"])
            for row in rows
        }

    def bindings(self) -> list[Binding]:
        """Return the bindings of every queue and exchange."""
        rows = self._get(f"/api/bindings/{self._vhost}") or []
        return [
            Binding(source=row["source"], key=row["routing_key"], target=row["destination"]) for row in rows
        ]

    def alarms(self) -> list[Alarm]:
        """Return the alarms of all nodes; while there is one, the broker takes no messages."""
        status, body = self._answered("/api/health/checks/alarms")
        # A proxy may answer with the same status, but without a list of alarms.
        if status == http.HTTPStatus.SERVICE_UNAVAILABLE and b'"alarms"' in body:
            return [Alarm(row["node"], row["resource"]) for row in json.loads(body)["alarms"]]
        self._parsed(status, body)
        return []

    @property
    def _vhost(self) -> str:
        return quote(self._address.vhost, safe="")

    def _get(self, path: str) -> Any:
        """Return the parsed answer, or None for what does not exist."""
        return self._parsed(*self._answered(path))

    def _answered(self, path: str) -> tuple[int, bytes]:
        try:
            return self._ask(path)
        except ssl.SSLCertVerificationError as error:
            raise UsageError(
                f"management {self._address.management}: its certificate does not verify: "
                f"{error.verify_message}; cafile must hold what signed it"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise down(f"management {self._address.management}: {type(error).__name__}: {error}") from None

    def _parsed(self, status: int, body: bytes) -> Any:
        if status == http.HTTPStatus.OK:
            return json.loads(body)
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
            user = self._address.user
            raise UsageError(
                f"management {self._address.management}: login refused for user {user!r}; check user and "
                f"password, or give it a tag with rabbitmqctl set_user_tags {user} management"
            )
        raise down(f"management {self._address.management}: HTTP {status}")

    def _ask(self, path: str) -> tuple[int, bytes]:
        split = urlsplit(self._address.management)
        host, port = split.hostname or "", split.port
        if split.scheme == "http":
            connection = http.client.HTTPConnection(host, port, timeout=self._limit_s)
        else:
            cafile = self._address.security.cafile if self._address.security else None
            context = ssl.create_default_context(cafile=cafile)
            connection = http.client.HTTPSConnection(host, port, timeout=self._limit_s, context=context)
        login = b64encode(f"{self._address.user}:{self._address.password}".encode()).decode()
        try:
            connection.request("GET", split.path + path, headers={"Authorization": f"Basic {login}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
