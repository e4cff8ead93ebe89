"""The parts of an `opensearch://` URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from panopticon.errors import UsageError
from storage.url_options import UrlOptions, split_login, split_url

FORM = "opensearch://user:password@host1:9200,host2:9200/index?tls=1&cafile=…"
OPTIONS = ("tls", "cafile", "shards", "replicas")
DEFAULT_PORT = 9200

_INDEX = re.compile(r"[a-z][a-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSearchAddress:
    """The address of one index of one cluster, with everything that is needed to log in."""

    hosts: tuple[tuple[str, int], ...]
    """Names and ports of some nodes, or of a load balancer in front of them."""
    index: str
    """The alias under which every client uses the index."""
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    cafile: Path | None = None
    """PEM certificates to verify nodes by; None: those that this machine trusts."""
    shards: int = 1
    """Shards of an index created here."""
    replicas: int | None = None
    """Replicas of an index created here; None: one where there is a second node."""

    def __str__(self) -> str:
        """Return the address without user and password: `h1:9200,h2:9200/photos`."""
        return f"{','.join(f'{host}:{port}' for host, port in self.hosts)}/{self.index}"


def address_of(url: str) -> OpenSearchAddress:
    """Parse a URL of the form above. Raises: UsageError, which quotes no password, for anything else."""
    split = split_url(url, setting="search", schemes=("opensearch",), form=FORM)
    user, password, nodes = split_login(split.netloc)
    hosts = tuple(_host_of(node) for node in nodes.split(","))
    index = split.path.removeprefix("/")
    if not _INDEX.fullmatch(index):
        raise UsageError(
            f"search: {index!r} cannot name an index: lower-case letters, digits, - and _, at most 100;"
            f" write {FORM}"
        )
    options = UrlOptions.parse(split.query, setting="search", known=OPTIONS)
    return OpenSearchAddress(
        hosts=hosts,
        index=index,
        user=user,
        password=password,
        tls=options.number("tls", default=int("cafile" in options.values)) > 0,
        cafile=options.file("cafile"),
        shards=max(options.number("shards", default=1), 1),
        replicas=options.number("replicas", default=0) if "replicas" in options.values else None,
    )


def _host_of(node: str) -> tuple[str, int]:
    try:
        split = urlsplit(f"//{node}")
        host, port = split.hostname, split.port
    except ValueError:
        host, port = None, None
    if not host:
        # It is not quoted, because it may be a password with the host left out.
        raise UsageError(f"search: the URL names no host, or a port that is not a number; write {FORM}")
    return host, DEFAULT_PORT if port is None else port
