"""The settings that compose mounts start a broker, which serves the metrics that Prometheus asks for."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.contracts.examples import TAGGER
from tests.deploy.compose import FOLDER, project
from tests.servers.ports import free_ports
from tests.servers.rabbitmq import RabbitNode
from tests.workers.queues.rabbitmq.access import wait_until
from workers.queues import open_broker

SETTINGS = (FOLDER / "rabbitmq" / "rabbitmq.conf").read_text("utf-8")
PROMETHEUS = FOLDER / "prometheus"
PLUGINS = "[rabbitmq_management, rabbitmq_prometheus].\n"
"""The plug-ins that the image enables."""


class ComposeNode(RabbitNode):
    """A node with the settings of compose, except its ports."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        (self.prometheus_port,) = free_ports(1)

    def _write_settings(self) -> None:
        super()._write_settings()
        (self.home / "enabled_plugins").write_text(PLUGINS)

    def _settings(self) -> Iterator[str]:
        yield from (line for line in SETTINGS.splitlines() if ".port" not in line)
        yield f"listeners.tcp.1 = 127.0.0.1:{self.ports.amqp}"
        yield "management.tcp.ip = 127.0.0.1"
        yield f"management.tcp.port = {self.ports.management}"
        yield "prometheus.tcp.ip = 127.0.0.1"
        yield f"prometheus.tcp.port = {self.prometheus_port}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeNode]:
    with ComposeNode(tmp_path_factory.mktemp("compose-broker")).running() as node:
        yield node


def jobs() -> list[dict[str, Any]]:
    """Return the scrape jobs of Prometheus for RabbitMQ."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    return [job for job in config["scrape_configs"] if job["job_name"].startswith("rabbitmq")]


def served(node: ComposeNode, *, vhost: str) -> set[str]:
    """Return the names of all metrics that Prometheus gets from the node."""
    text = "\n".join(scraped(node, job, vhost=vhost) for job in jobs())
    return set(re.findall(r"^(rabbitmq_\w+)", text, re.MULTILINE))


def scraped(node: ComposeNode, job: dict[str, Any], *, vhost: str) -> str:
    asked = urlencode({**job.get("params", {}), "vhost": vhost}, doseq=True)
    url = f"http://127.0.0.1:{node.prometheus_port}{job.get('metrics_path', '/metrics')}?{asked}"
    with urllib.request.urlopen(url) as answer:
        text: str = answer.read().decode()
    return text


def test_a_broker_starts_with_them_and_workers_can_use_it(node: ComposeNode) -> None:
    with node.management.virtual_host() as vhost:
        broker = open_broker(node.url.replace("/?", f"/{vhost}?"))
        broker.topology.bind(TAGGER)
        assert broker.topology.bound() == (TAGGER,)
        broker.close()


def test_a_delivery_may_be_held_for_longer_than_a_worker_may_drain(node: ComposeNode) -> None:
    (held_ms,) = re.findall(r"\d+", node.evaluate("application:get_env(rabbit, consumer_timeout)."))
    assert int(held_ms) >= 30 * 60 * 1000


def test_every_metric_of_the_broker_in_an_alert_is_one_that_it_serves(node: ComposeNode) -> None:
    named = set(re.findall(r"\brabbitmq_\w+", (PROMETHEUS / "rules.yml").read_text("utf-8")))
    with node.management.virtual_host() as vhost:
        broker = open_broker(node.url.replace("/?", f"/{vhost}?"))
        broker.topology.bind(TAGGER)
        broker.close()
        # Of a queue that was just made it shows nothing for some seconds.
        wait_until(lambda: named <= served(node, vhost=vhost))
    assert named


def test_prometheus_asks_the_port_that_the_broker_listens_on() -> None:
    (port,) = re.findall(r"^prometheus\.tcp\.port = (\d+)$", SETTINGS, re.MULTILINE)
    (target,) = {at for job in jobs() for each in job["static_configs"] for at in each["targets"]}
    assert target == f"rabbitmq:{port}"


def test_prometheus_asks_for_the_virtual_host_that_is_made() -> None:
    (asked,) = [vhost for job in jobs() for vhost in job.get("params", {}).get("vhost", [])]
    assert asked == project()["services"]["rabbitmq"]["environment"]["RABBITMQ_DEFAULT_VHOST"]
