"""The addresses that a worker may connect to."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.errors import Rejected, UsageError
from storage.originals.addresses import AllowedAddresses, host_of_setting, is_public, named_host, read_allowed
from tests.storage.originals.names import Names

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2606:4700:4700::1111"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_outside_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_is_treated_alike_in_every_notation(address: IPv4Address) -> None:
    forms = [f"::ffff:{address}", f"64:ff9b::{address}"]
    assert {is_public(ip_address(form)) for form in forms} == {is_public(address)}


def allowed(*entries: str) -> AllowedAddresses:
    return read_allowed(entries, configured=())


@pytest.mark.parametrize(
    ("entry", "address", "expected"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "192.168.0.1", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "10.1.2.3", False),
        ("fe80::/10", "fe80::1%eth0", True),
    ],
)
def test_only_a_listed_network_is_allowed(entry: str, address: str, expected: bool) -> None:
    assert allowed(entry).allows("photos.internal", address, 80) is expected


@pytest.mark.parametrize(
    ("entry", "host", "port", "expected"),
    [
        ("photos.internal", "photos.internal", 80, True),
        ("photos.internal", "PHOTOS.internal.", 8443, True),
        ("photos.internal", "other.internal", 80, False),
        ("photos.internal", "x.photos.internal", 80, False),
        ("photos.internal:8080", "photos.internal", 8080, True),
        ("photos.internal:8080", "photos.internal", 80, False),
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "127.0.0.1", 9200, False),
        ("127.0.0.1:8080", "localhost", 8080, False),
        ("[::1]:8080", "::1", 8080, True),
    ],
)
def test_a_listed_host_is_allowed_at_its_port(entry: str, host: str, port: int, expected: bool) -> None:
    assert allowed(entry).allows(host, "127.0.0.1", port) is expected


@pytest.mark.parametrize("entry", ["http://photos.internal", "a b", "10.0.0.0/99", "host:port", "ann@host"])
def test_an_entry_that_is_neither_host_nor_network_is_a_mistake(entry: str) -> None:
    with pytest.raises(UsageError, match="private_hosts"):
        allowed(entry)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Photos.example/{image_id}", ("photos.example", 443)),
        ("http://10.0.0.1:9000", ("10.0.0.1", 9000)),
        ("http://[::1]:9000/", ("::1", 9000)),
    ],
)
def test_the_host_of_a_setting_is_allowed_at_its_port(url: str, expected: tuple[str, int]) -> None:
    assert host_of_setting(url) == named_host(*expected)


@pytest.mark.parametrize("url", ["", "s3://bucket/{image_id}", "file:///photos/{image_id}"])
def test_a_setting_that_is_not_a_web_url_has_no_host(url: str) -> None:
    assert host_of_setting(url) is None


@pytest.mark.parametrize("url", ["http://", "http://ann:s3cr3t@host", "http://host:99999", "https://:1"])
def test_an_unusable_url_in_a_setting_is_a_usage_error_that_does_not_quote_it(url: str) -> None:
    with pytest.raises(UsageError) as refusal:
        host_of_setting(url)
    assert "s3cr3t" not in str(refusal.value)


def test_only_the_allowed_addresses_of_a_name_are_used(names: Names) -> None:
    names.resolve("mixed.example", "10.0.0.1", "1.1.1.1", "::1")
    assert [address for _, address in allowed().resolve("mixed.example", 80)] == ["1.1.1.1"]


def test_the_error_for_a_name_without_an_allowed_address_contains_the_name_only(names: Names) -> None:
    names.resolve("inside.example", "10.0.0.1")
    with pytest.raises(Rejected, match=r"address_not_allowed: inside\.example is not public") as refusal:
        allowed().resolve("inside.example", 80)
    assert "10.0.0.1" not in str(refusal.value)


def test_an_impossible_host_name_is_rejected() -> None:
    with pytest.raises(Rejected, match="bad_uri"):
        allowed().resolve("x" * 70 + ".example", 80)
