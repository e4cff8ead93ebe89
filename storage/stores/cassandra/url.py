"""The parts of a `cassandra://` URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from panopticon.errors import UsageError
from storage.url_options import UrlOptions, split_login, split_url

FORM = "cassandra://user:password@host1,host2:9042/keyspace?local_dc=…&cafile=…"
OPTIONS = ("cafile", "local_dc", "create", "replication")
DEFAULT_PORT = 9042

_KEYSPACE = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CassandraAddress:
    """The address of one keyspace of one cluster, with everything that is needed to log in."""

    hosts: tuple[str, ...]
    port: int
    keyspace: str
    user: str = ""
    password: str = field(default="", repr=False)
    cafile: Path | None = None
    """PEM certificates to verify nodes by; None: connections are not encrypted."""
    local_dc: str | None = None
    """None: the data centre of the node that answers first."""
    create: bool = False
    """Create the keyspace if it is missing."""
    replication: int = 3
    """Copies in each data centre of a keyspace created here."""

    def __str__(self) -> str:
        """Return the address without user and password: `h1,h2:9042/photos`."""
        return f"{','.join(self.hosts)}:{self.port}/{self.keyspace}"


def address_of(url: str) -> CassandraAddress:
    """Parse a URL of the form above. Raises: UsageError, which quotes no password, for anything else."""
    split = split_url(url, setting="store", schemes=("cassandra",), form=FORM)
    user, password, nodes = split_login(split.netloc)
    hosts, port = _nodes_of(nodes)
    keyspace = split.path.removeprefix("/")
    if not _KEYSPACE.fullmatch(keyspace):
        raise UsageError(
            f"store: {keyspace!r} cannot name a keyspace: lower-case letters, digits and _, at most 48;"
            f" write {FORM}"
        )
    options = UrlOptions.parse(split.query, setting="store", known=OPTIONS)
    return CassandraAddress(
        hosts=hosts,
        port=port,
        keyspace=keyspace,
        user=user,
        password=password,
        cafile=options.file("cafile"),
        local_dc=options.values.get("local_dc"),
        create=options.number("create", default=0) > 0,
        replication=options.number("replication", default=3),
    )


def _nodes_of(text: str) -> tuple[tuple[str, ...], int]:
    """Return the hosts of `h1,h2:9042` and their port, which any one of them may name for all."""
    try:
        nodes = [urlsplit(f"//{node}") for node in text.split(",")]
        ports = {node.port for node in nodes} - {None}
    except ValueError:
        # It is not quoted, because it may be a password with the host left out.
        raise UsageError(
            f"store: the URL names no hosts, or a port that is not a number; write {FORM}"
        ) from None
    hosts = tuple(node.hostname for node in nodes if node.hostname)
    if len(hosts) != len(nodes):
        raise UsageError(f"store: the URL names no hosts; write {FORM}")
    if len(ports) > 1:
        raise UsageError(f"store: {text!r} has several ports; all nodes of a cluster have the same")
    return hosts, ports.pop() or DEFAULT_PORT if ports else DEFAULT_PORT
