"""A broker that a person named wrongly: one line and exit code 2, from every program that uses it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.command import INDEXER, WORKER, is_refused_at_the_start
from tests.servers.certificates import make_certificate
from tests.servers.rabbitmq import RabbitNode
from tests.workers.queues.rabbitmq.access import Operator
from tests.workers.queues.rabbitmq.conftest import OpenBroker

SUBMIT = ("submit", "photos.csv")
every_program = pytest.mark.parametrize("command", [WORKER, INDEXER, SUBMIT], ids=lambda words: words[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos.csv").write_text("image_id\na\n")
    return tmp_path


@every_program
def test_a_wrong_password_is_one_line(folder: Path, rabbit_node: RabbitNode, command: tuple[str, ...]) -> None:
    broker = rabbit_node.url.replace("guest:guest@", "guest:mistyped@")
    is_refused_at_the_start(folder, command, ("login refused for user 'guest'",), broker=broker)


@every_program
def test_an_unknown_virtual_host_is_one_line(
    folder: Path, rabbit_node: RabbitNode, command: tuple[str, ...]
) -> None:
    broker = urlsplit(rabbit_node.url)._replace(path="/nowhere").geturl()
    is_refused_at_the_start(folder, command, ("there is no virtual host 'nowhere'",), broker=broker)


@every_program
def test_a_queue_of_another_kind_is_one_line(
    folder: Path, url: str, operator: Operator, command: tuple[str, ...]
) -> None:
    operator.make("panopticon.catalogue")
    words = ("queue panopticon.catalogue is there with another x-", "drain it, delete it")
    is_refused_at_the_start(folder, command, words, broker=url)


@every_program
def test_a_certificate_that_does_not_verify_is_one_line(
    folder: Path, rabbit_node: RabbitNode, command: tuple[str, ...]
) -> None:
    other = make_certificate(folder, name="other").certificate
    broker = f"{rabbit_node.secure_url}&cafile={other}"
    is_refused_at_the_start(folder, command, ("certificate does not verify",), broker=broker)
