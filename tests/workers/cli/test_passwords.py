"""No part of a password is printed, also of one whose special characters are not escaped."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from panopticon.credentials import masked
from panopticon.errors import UsageError
from panopticon.settings import read_settings
from storage.search.opensearch.url import address_of as opensearch_address
from storage.sqlite.database import path_of
from storage.stores.cassandra.url import address_of as cassandra_address
from tests.workers.cli.conftest import Panopticon
from workers.queues.rabbitmq.url import address_of as rabbitmq_address

ADDRESSES: dict[str, Callable[[str], object]] = {
    "amqp": rabbitmq_address,
    "amqps": rabbitmq_address,
    "cassandra": cassandra_address,
    "opensearch": opensearch_address,
    "postgres": path_of,
}
PARTS = ("xylo", "quartz", "zephyr")
BETWEEN = st.text(alphabet="/@?#:,;&=%[]\\ 1+é", max_size=3)


def printed_by(parse: Callable[[str], object], url: str) -> str:
    """Return what may be printed of a URL: its address, or the error."""
    try:
        address = parse(url)
    except UsageError as error:
        return str(error)
    # One that could be parsed was understood as the person meant it, or its host is another.
    return f"{address} {address!r}"


@pytest.mark.parametrize("scheme", ADDRESSES)
@given(first=BETWEEN, second=BETWEEN)
@example(first="/", second="/")
@example(first=":1/", second="?")
@example(first="?", second="&")
def test_no_address_and_no_error_shows_a_part_of_a_password(scheme: str, first: str, second: str) -> None:
    password = f"{PARTS[0]}{first}{PARTS[1]}{second}{PARTS[2]}"
    shown = printed_by(ADDRESSES[scheme], f"{scheme}://user:{password}@host/photos")
    assert [part for part in PARTS if part in shown] == []


@pytest.mark.parametrize("scheme", ADDRESSES)
@pytest.mark.parametrize("password", ["12/quartz", "12/quartz?zephyr", "12/quartz/zephyr", "1@2/quartz"])
def test_a_password_that_begins_like_a_port_is_not_shown_either(scheme: str, password: str) -> None:
    shown = printed_by(ADDRESSES[scheme], f"{scheme}://user:{password}@host/photos")
    assert [part for part in PARTS if part in shown] == []


@pytest.mark.parametrize("scheme", ["amqp", "cassandra", "opensearch"])
def test_a_password_without_its_host_is_not_shown(scheme: str) -> None:
    assert "quartz" not in printed_by(ADDRESSES[scheme], f"{scheme}://user:quartz/photos")


@given(first=BETWEEN, second=BETWEEN)
def test_a_masked_url_shows_no_part_of_its_password(first: str, second: str) -> None:
    url = f"amqp://user:xylo{first}quartz{second}zephyr@host:5672/photos"
    assert masked(url) == "amqp://***@host:5672/photos"


@pytest.mark.parametrize(
    "text",
    [
        "https://cdn.example.org/{image_id}@2x.jpg",
        "http://host:9200",
        "sqlite:///a@b.db",
        "ask ann@example.org",
    ],
)
def test_text_without_a_password_is_not_masked(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("setting", ["broker", "store", "search", "database", "s3_endpoint", "originals"])
def test_no_command_shows_a_password_with_a_slash(panopticon: Panopticon, setting: str) -> None:
    url = f"amqp://user:xylo/quartz@zephyr@host/{setting}"
    for arguments in (("settings",), ("settings", "--json"), ("doctor",), ("status",)):
        ran = panopticon("--set", f"{setting}={url}", *arguments)
        assert [part for part in PARTS if part in ran.out + ran.err] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "broker:amqp://user:xylo/quartz@host", "status"),
        ("--set", "amqp://user:xylo=quartz@host", "status"),
        ("amqp://user:xylo/quartz@host",),
        ("--database", "amqp://user:xylo/quartz@host", "status"),
    ],
)
def test_a_url_in_the_wrong_place_is_not_shown_with_its_password(
    panopticon: Panopticon, arguments: tuple[str, ...]
) -> None:
    ran = panopticon(*arguments)
    assert ran.code == 2
    assert [part for part in PARTS if part in ran.err] == []


def test_a_setting_that_is_refused_is_not_shown_with_its_password() -> None:
    with pytest.raises(UsageError) as refused:
        read_settings(flags={"broker": "AMQP://user:xylo/quartz@host"}, environ={})
    assert "quartz" not in str(refused.value)
