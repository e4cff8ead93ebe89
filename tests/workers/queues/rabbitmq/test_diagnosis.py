"""The findings about a broker."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from panopticon.interfaces import Finding, Health
from tests.contracts.examples import TAGGER
from tests.servers.rabbitmq import RabbitNode, RabbitSite
from tests.workers.queues.rabbitmq.access import wait_until
from tests.workers.queues.rabbitmq.conftest import OpenBroker, allow, url_of
from workers.queues.rabbitmq.broker import RabbitBroker


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def health(broker: RabbitBroker) -> dict[str, Health]:
    return {finding.check: finding.health for finding in broker.diagnose()}


class Operator:
    """An operator with a management page, on one virtual host."""

    def __init__(self, site: RabbitSite, url: str) -> None:
        self._management = site.management
        self._vhost = urlsplit(url).path[1:]

    def everything(self) -> list[object]:
        kinds = ("queues", "exchanges", "bindings")
        return [len(self._management.get(f"/api/{kind}/{self._vhost}")) for kind in kinds]

    def make(self, kind: str, name: str, **body: object) -> None:
        self._management.ask("PUT", f"/api/{kind}/{self._vhost}/{name}", {"durable": True, **body})

    def delete(self, *path: str) -> None:
        kind, *rest = path
        self._management.ask("DELETE", "/".join(["/api", kind, self._vhost, *rest]))


@pytest.fixture
def operator(rabbit_site: RabbitSite, url: str) -> Operator:
    return Operator(rabbit_site, url)


def test_a_healthy_broker_passes_every_check_and_is_not_changed(
    url: str, operator: Operator, open_broker: OpenBroker
) -> None:
    looked_at = ("server", "management", "alarms", "queues", "exchanges", "replicas", "permissions")
    well = {f"broker: {what}": Health.OK for what in looked_at}
    empty = operator.everything()
    assert health(open_broker(url)) == well
    assert operator.everything() == empty
    open_broker(url).topology.bind(TAGGER)
    made = operator.everything()
    assert health(open_broker(url)) == well
    assert operator.everything() == made


def test_every_missing_or_different_queue_is_reported_with_the_difference(
    url: str, operator: Operator, open_broker: OpenBroker
) -> None:
    open_broker(url, max_results=5).topology.bind(TAGGER)
    name = "panopticon.quality.1.live"
    operator.make("queues", name, arguments={})
    operator.delete("queues", "panopticon.undeliverable")
    finding = by_check(open_broker(url, max_results=6).diagnose())["broker: queues"]
    assert finding.health is Health.FAIL
    assert f"{name} (x-dead-letter-exchange, " in finding.seen
    assert "panopticon.quality.1.backfill (missing)" in finding.seen
    assert "panopticon.undeliverable (missing)" in finding.seen
    assert "panopticon.search.live (x-max-length)" in finding.seen
    assert "panopticon.search.backfill (x-max-length)" in finding.seen
    assert "panopticon.tagger" not in finding.seen
    assert finding.advice.endswith("whatever is missing is declared at the next start")


def test_every_missing_or_different_exchange_is_reported_with_the_difference(
    url: str, operator: Operator, open_broker: OpenBroker
) -> None:
    open_broker(url).topology.bind(TAGGER)
    for name in ("panopticon.tagger.1", "panopticon.results", "panopticon.uploads"):
        operator.delete("exchanges", name)
    operator.make("exchanges", "panopticon.results", type="fanout")
    operator.make("exchanges", "panopticon.uploads", type="topic")
    finding = by_check(open_broker(url).diagnose())["broker: exchanges"]
    assert finding.health is Health.FAIL
    assert "panopticon.tagger.1 (missing)" in finding.seen
    assert "panopticon.results (fanout, not topic)" in finding.seen
    assert "panopticon.uploads (alternate-exchange)" in finding.seen
    assert "panopticon.unrouted" not in finding.seen
    assert finding.advice.endswith("whatever is missing is declared at the next start")


def test_every_missing_binding_is_reported_and_declared_by_the_next_start(
    url: str, operator: Operator, open_broker: OpenBroker
) -> None:
    open_broker(url).topology.bind(TAGGER)
    key, queue = "image.uploaded", "panopticon.tagger.1.live"
    operator.delete("bindings", "e", "panopticon.tagger.1", "q", queue, key)
    finding = by_check(open_broker(url).diagnose())["broker: exchanges"]
    assert finding.health is Health.FAIL
    assert finding.seen.endswith(f"declarations: panopticon.tagger.1 to {queue} by {key} (missing)")
    open_broker(url).topology.bind(TAGGER)
    assert health(open_broker(url))["broker: exchanges"] is Health.OK


def test_a_quorum_queue_without_a_leader_is_named(rabbit_node: RabbitNode, open_broker: OpenBroker) -> None:
    with rabbit_node.management.virtual_host() as vhost:
        broker = open_broker(rabbit_node.url.replace("/?", f"/{vhost}?"))
        broker.topology.bind(TAGGER)
        rabbit_node.evaluate(
            f'{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, '
            '<<"panopticon.tagger.1.live">>)), '
            "ra:stop_server(quorum_queues, amqqueue:get_pid(Queue))."
        )
        found = by_check(broker.diagnose())["broker: replicas"]
        assert found.health is Health.FAIL
        assert found.seen == "no leader: panopticon.tagger.1.live; offline: rabbit@localhost"


def test_an_alarm_is_reported_with_its_node_and_advice(
    rabbit_node: RabbitNode, open_broker: OpenBroker
) -> None:
    with rabbit_node.management.virtual_host() as vhost:
        broker = open_broker(rabbit_node.url.replace("/?", f"/{vhost}?"))
        with rabbit_node.memory_alarm():
            found = by_check(broker.diagnose())
        assert found["broker: alarms"].health is Health.FAIL
        assert "rabbit@localhost is out of memory" in found["broker: alarms"].seen
        assert "give it more memory" in found["broker: alarms"].advice
        assert "broker: permissions" not in found
        wait_until(lambda: health(broker)["broker: alarms"] is Health.OK)


@pytest.mark.parametrize(
    ("allowed", "lacking"),
    [
        ({"configure": "^panopticon.uploads"}, "configure"),
        ({"write": "amq.default"}, "write"),
        ({"write": "^panopticon"}, "write to amq.default"),
        ({"read": "^panopticon.uploads"}, "read"),
        ({"configure": "", "write": "", "read": ""}, "configure, write, write to amq.default, read"),
    ],
)
def test_every_missing_permission_is_reported_with_advice(
    rabbit_node: RabbitNode, user: str, allowed: dict[str, str], lacking: str, open_broker: OpenBroker
) -> None:
    broker = open_broker(url_of(rabbit_node, user=user, vhost=user))
    assert health(broker)["broker: permissions"] is Health.OK
    allow(rabbit_node, user, **allowed)
    finding = by_check(broker.diagnose())["broker: permissions"]
    assert (finding.health, finding.seen) == (Health.FAIL, f"user {user!r} may not {lacking}")
    assert "rabbitmqctl set_permissions" in finding.advice


def test_an_unreachable_broker_is_the_last_finding(open_broker: OpenBroker) -> None:
    (finding,) = open_broker("amqp://127.0.0.1:1").diagnose()
    assert (finding.check, finding.health, finding.last) == ("broker: server", Health.FAIL, True)
    assert "Connection refused" in finding.seen


def test_a_broker_without_management_is_not_checked_further(url: str, open_broker: OpenBroker) -> None:
    silent = open_broker(url.partition("?")[0] + "?management=http://127.0.0.1:1")
    _, finding = silent.diagnose()
    assert (finding.check, finding.health, finding.last) == ("broker: management", Health.FAIL, True)
    assert "rabbitmq_management" in finding.advice


def test_unrouted_messages_are_reported(url: str, rabbit_site: RabbitSite, open_broker: OpenBroker) -> None:
    broker = open_broker(url)
    broker.topology.bind(TAGGER)
    message = {"properties": {}, "routing_key": "typo", "payload": "{}", "payload_encoding": "string"}
    exchange = f"/api/exchanges/{urlsplit(url).path[1:]}/panopticon.uploads"
    rabbit_site.management.ask("POST", f"{exchange}/publish", message)
    wait_until(lambda: "broker: unrouted" in health(broker))
    assert by_check(broker.diagnose())["broker: unrouted"].seen.startswith(
        "1 messages with an unknown routing key"
    )
