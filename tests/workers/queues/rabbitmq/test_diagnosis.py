"""What `doctor` hears of a broker."""

from __future__ import annotations

from urllib.parse import urlsplit

from panopticon.interfaces import Finding, Health
from tests.contracts.examples import TAGGER
from tests.servers.rabbitmq import RabbitSite
from tests.workers.queues.rabbitmq.access import wait_until
from tests.workers.queues.rabbitmq.conftest import OpenBroker
from workers.queues.rabbitmq.broker import RabbitBroker


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def health(broker: RabbitBroker) -> dict[str, Health]:
    return {finding.check: finding.health for finding in broker.diagnose()}


def test_a_broker_that_is_well_is_told_and_not_changed(
    url: str, rabbit_site: RabbitSite, open_broker: OpenBroker
) -> None:
    well = {"broker: server": Health.OK, "broker: management": Health.OK, "broker: queues": Health.OK}
    assert health(open_broker(url)) == well
    assert rabbit_site.management.queues(urlsplit(url).path[1:]) == {}
    open_broker(url).topology.bind(TAGGER)
    assert health(open_broker(url)) == well


def test_every_queue_that_differs_is_told_with_what_differs(
    url: str, rabbit_site: RabbitSite, open_broker: OpenBroker
) -> None:
    open_broker(url, max_results=5).topology.bind(TAGGER)
    vhost = urlsplit(url).path[1:]
    name = "panopticon.quality.1.live"
    rabbit_site.management.ask("PUT", f"/api/queues/{vhost}/{name}", {"durable": True, "arguments": {}})
    said = by_check(open_broker(url, max_results=6).diagnose())["broker: queues"]
    assert said.health is Health.FAIL
    assert f"{name} (x-dead-letter-exchange, " in said.seen
    assert "panopticon.search.backfill (x-max-length); panopticon.search.live (x-max-length)" in said.seen
    assert "panopticon.tagger" not in said.seen


def test_a_broker_that_is_not_there_is_the_last_finding(open_broker: OpenBroker) -> None:
    (finding,) = open_broker("amqp://127.0.0.1:1").diagnose()
    assert (finding.check, finding.health, finding.last) == ("broker: server", Health.FAIL, True)
    assert "Connection refused" in finding.seen


def test_a_broker_without_management_cannot_be_asked_more(url: str, open_broker: OpenBroker) -> None:
    silent = open_broker(url.partition("?")[0] + "?management=http://127.0.0.1:1")
    _, finding = silent.diagnose()
    assert (finding.check, finding.health, finding.last) == ("broker: management", Health.FAIL, True)
    assert "rabbitmq_management" in finding.advice


def test_messages_that_no_queue_wanted_are_told(
    url: str, rabbit_site: RabbitSite, open_broker: OpenBroker
) -> None:
    broker = open_broker(url)
    broker.topology.bind(TAGGER)
    message = {"properties": {}, "routing_key": "typo", "payload": "{}", "payload_encoding": "string"}
    exchange = f"/api/exchanges/{urlsplit(url).path[1:]}/panopticon.uploads"
    rabbit_site.management.ask("POST", f"{exchange}/publish", message)
    wait_until(lambda: "broker: unrouted" in health(broker))
    assert by_check(broker.diagnose())["broker: unrouted"].seen.startswith("1 messages that no queue wanted")
