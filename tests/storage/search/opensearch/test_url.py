"""The URL of an OpenSearch index, and the errors for invalid ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.errors import UsageError
from storage.search import open_search
from storage.search.opensearch.url import OpenSearchAddress, address_of


def test_the_shortest_url_has_a_host_and_an_index() -> None:
    assert address_of("opensearch://h/photos") == OpenSearchAddress(hosts=(("h", 9200),), index="photos")


def test_every_host_has_its_port() -> None:
    assert address_of("opensearch://h1,h2:9201/photos").hosts == (("h1", 9200), ("h2", 9201))


def test_a_login_is_decoded_and_never_shown() -> None:
    address = address_of("opensearch://ann:open%2Fsesame@h/photos")
    assert (address.user, address.password) == ("ann", "open/sesame")
    assert "sesame" not in f"{address} {address!r}"


def test_a_cafile_turns_tls_on(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    address = address_of(f"opensearch://h/photos?cafile={tmp_path}/ca.pem")
    assert (address.tls, address.cafile) == (True, tmp_path / "ca.pem")


def test_shards_and_replicas_are_taken_from_the_url() -> None:
    address = address_of("opensearch://h/photos?shards=6&replicas=2")
    assert (address.shards, address.replicas) == (6, 2)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("opensearch:///photos", "write opensearch://"),
        ("opensearch://[h/photos", "write opensearch://"),
        ("opensearch://h", "'' cannot name an index"),
        ("opensearch://h/Photos", "'Photos' cannot name an index"),
        ("opensearch://h/a/b", "'a/b' cannot name an index"),
        ("opensearch://h:x/photos", "the URL names no host, or a port"),
        ("opensearch://h,,i/photos", "the URL names no host, or a port"),
        ("opensearch://h/photos?tsl=1", "unknown option 'tsl'; known: tls, cafile, shards, replicas"),
        ("opensearch://h/photos?shards=many", "shards=many: must be a number"),
        ("opensearch://h/photos?cafile=missing.pem", "cafile missing.pem: there is no such file"),
    ],
)
def test_a_mistake_is_one_line(url: str, complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        open_search(url)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["opensearch://ann:sesame@/photos", "opensearch://ann:sesame@h:sesame/photos"]
)
def test_no_password_is_quoted(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        address_of(url)
    assert "ann:sesame" not in str(raised.value)


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown search scheme 'solr'; known: sqlite, opensearch"):
        open_search("solr://h/photos")
