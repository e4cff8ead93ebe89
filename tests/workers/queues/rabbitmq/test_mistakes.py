"""A mistake in the URL of the broker: one line and exit code 2 in every program that uses it."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.command import INDEXER, WORKER, every_program, is_refused_at_the_start
from tests.servers.certificates import make_certificate
from tests.servers.rabbitmq import RabbitNode
from tests.workers.queues.rabbitmq.access import Operator


@every_program
def test_a_wrong_password_is_one_line(
    tmp_path: Path, rabbit_node: RabbitNode, command: tuple[str, ...]
) -> None:
    broker = rabbit_node.url.replace("guest:guest@", "guest:mistyped@")
    is_refused_at_the_start(tmp_path, command, ("login refused for user 'guest'",), broker=broker)


@every_program
def test_an_unknown_virtual_host_is_one_line(
    tmp_path: Path, rabbit_node: RabbitNode, command: tuple[str, ...]
) -> None:
    broker = urlsplit(rabbit_node.url)._replace(path="/nowhere").geturl()
    is_refused_at_the_start(tmp_path, command, ("there is no virtual host 'nowhere'",), broker=broker)


@pytest.mark.parametrize("command", [WORKER, INDEXER], ids=itemgetter(0))
def test_a_queue_of_another_kind_is_one_line(
    tmp_path: Path, url: str, operator: Operator, command: tuple[str, ...]
) -> None:
    operator.make("panopticon.catalogue")
    words = ("queue panopticon.catalogue exists with another x-", "drain it, delete it")
    is_refused_at_the_start(tmp_path, command, words, broker=url)


@every_program
def test_a_certificate_that_does_not_verify_is_one_line(
    tmp_path: Path, rabbit_node: RabbitNode, command: tuple[str, ...]
) -> None:
    other = make_certificate(tmp_path, name="other").certificate
    broker = f"{rabbit_node.secure_url}&cafile={other}"
    is_refused_at_the_start(tmp_path, command, ("certificate does not verify",), broker=broker)
