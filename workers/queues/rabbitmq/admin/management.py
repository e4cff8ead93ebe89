"""The management plug-in of a broker: what cannot be asked over AMQP."""

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
from workers.queues.rabbitmq.url import Address

# Brokers that know these options leave their histories out and count at once; older ones ignore them.
_COUNTS = "disable_stats=true&enable_queue_totals=true"


class Count(NamedTuple):
    """One queue. A quorum queue counts each 5 s only."""

    messages: int
    """With those that are on their way to another queue."""
    held: int


class Alarm(NamedTuple):
    """What a node has run out of."""

    node: str
    resource: str
    """memory or disk."""


class Management:
    """Asks over HTTP, one connection a question. Proxies of the environment are not used."""

    def __init__(self, address: Address, *, limit_s: float) -> None:
        self._address = address
        self._limit_s = limit_s

    def counts(self) -> dict[str, Count]:
        """Every queue by its name. Raises: Unavailable; UsageError."""
        rows = self._get(f"/api/queues/{self._vhost}?{_COUNTS}") or []
        return {
            row["name"]: Count(row.get("messages", 0), row.get("messages_unacknowledged", 0)) for row in rows
        }

    def bound_to(self, exchange: str) -> list[tuple[str, str]]:
        """Routing key and name of every exchange bound to this one."""
        rows = self._get(f"/api/exchanges/{self._vhost}/{quote(exchange, safe='')}/bindings/source") or []
        return [
            (row["routing_key"], row["destination"]) for row in rows if row["destination_type"] == "exchange"
        ]

    def arguments(self) -> dict[str, Arguments]:
        """What every queue was declared with, by its name."""
        rows = self._get(f"/api/queues/{self._vhost}?{_COUNTS}") or []
        return {row["name"]: row["arguments"] for row in rows}

    def exchanges(self) -> dict[str, Exchange]:
        """Every exchange by its name, those of the broker itself too."""
        rows = self._get(f"/api/exchanges/{self._vhost}") or []
        return {
            row["name"]: Exchange(name=row["name"], kind=row["type"], arguments=row["arguments"])
            for row in rows
        }

    def bindings(self) -> list[Binding]:
        """Of every queue and exchange."""
        rows = self._get(f"/api/bindings/{self._vhost}") or []
        return [
            Binding(source=row["source"], key=row["routing_key"], target=row["destination"]) for row in rows
        ]

    def alarms(self) -> list[Alarm]:
        """Those that keep the broker, any node of it, from taking messages."""
        status, said = self._answered("/api/health/checks/alarms")
        if status == http.HTTPStatus.SERVICE_UNAVAILABLE and b'"alarms"' in said:
            return [Alarm(row["node"], row["resource"]) for row in json.loads(said)["alarms"]]
        self._checked(status, said)
        return []

    @property
    def _vhost(self) -> str:
        return quote(self._address.vhost, safe="")

    def _get(self, path: str) -> Any:
        """None for what is not there."""
        return self._checked(*self._answered(path))

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

    def _checked(self, status: int, said: bytes) -> Any:
        if status == http.HTTPStatus.OK:
            return json.loads(said)
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
        connection = self._connection(split.scheme, split.hostname or "", split.port)
        login = b64encode(f"{self._address.user}:{self._address.password}".encode()).decode()
        try:
            connection.request("GET", split.path + path, headers={"Authorization": f"Basic {login}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._limit_s)
        cafile = self._address.security.cafile if self._address.security else None
        context = ssl.create_default_context(cafile=cafile)
        return http.client.HTTPSConnection(host, port, timeout=self._limit_s, context=context)
