"""The URL of a Cassandra store."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.errors import UsageError
from storage.stores.cassandra.url import CassandraAddress, address_of


def test_the_shortest_url_has_a_host_and_a_keyspace() -> None:
    assert address_of("cassandra://one/photos") == CassandraAddress(
        hosts=("one",), port=9042, keyspace="photos"
    )


def test_a_url_may_have_every_option(tmp_path: Path) -> None:
    cafile = tmp_path / "ca.pem"
    cafile.touch()
    address = address_of(
        f"cassandra://me:p%40ss@one,10.0.0.2:9043/photos?cafile={cafile}&local_dc=eu&create=1&replication=2"
    )
    assert address == CassandraAddress(
        hosts=("one", "10.0.0.2"),
        port=9043,
        keyspace="photos",
        user="me",
        password="p@ss",
        cafile=cafile,
        local_dc="eu",
        create=True,
        replication=2,
    )


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert address_of("cassandra://[::1]:9043/photos").hosts == ("::1",)


def test_an_address_is_shown_without_its_login() -> None:
    address = address_of("cassandra://me:secret@one,two/photos")
    assert (str(address), "secret" in repr(address)) == ("one,two:9042/photos", False)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("cassandra://", "store: write cassandra://"),
        ("cassandra:///photos", "store: write cassandra://"),
        ("cassandra://me:secret@/photos", "names no hosts"),
        ("cassandra://me:secret@one,,two/photos", "names no hosts"),
        ("cassandra://me:secret@one:port/photos", "names no hosts"),
        ("cassandra://me:secret@one:1,two:2/photos", "several ports"),
        ("cassandra://me:secret@one", "cannot name a keyspace"),
        ("cassandra://me:secret@one/Photos", "cannot name a keyspace"),
        ("cassandra://me:secret@one/photos/more", "cannot name a keyspace"),
        ("cassandra://me:secret@one/photos?createe=1", "unknown option 'createe'; known: cafile, local_dc"),
        ("cassandra://me:secret@one/photos?replication=many", "replication=many: must be a number"),
        ("cassandra://me:secret@one/photos?cafile=/no/such.pem", "there is no such file"),
    ],
)
def test_an_invalid_url_is_refused_without_quoting_its_password(url: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        address_of(url)
    assert complaint in str(caught.value)
    assert "secret" not in str(caught.value)
