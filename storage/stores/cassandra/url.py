"""What a `cassandra://` URL says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from panopticon.errors import UsageError

FORM = "cassandra://user:password@host1,host2:9042/keyspace?local_dc=…&cafile=…"
OPTIONS = ("cafile", "local_dc", "create", "replication")
DEFAULT_PORT = 9042

_KEYSPACE = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One keyspace of one cluster, and how to get in."""

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
    """Make the keyspace if it is missing."""
    replication: int = 3
    """Copies in each data centre of a keyspace made here."""

    def __str__(self) -> str:
        """Where it is, without who comes: `h1,h2:9042/photos`."""
        return f"{','.join(self.hosts)}:{self.port}/{self.keyspace}"


def address_of(url: str) -> Address:
    """Raises: UsageError, which quotes no password, for anything but the form above."""
    split = _split(url)
    login, _, nodes = split.netloc.rpartition("@")
    user, _, password = login.partition(":")
    hosts, port = _nodes_of(nodes)
    options = _options_of(split.query)
    return Address(
        hosts=hosts,
        port=port,
        keyspace=_keyspace_of(split.path),
        user=unquote(user),
        password=unquote(password),
        cafile=_file_of(options),
        local_dc=options.get("local_dc"),
        create=_count_of(options, "create", default=0) > 0,
        replication=_count_of(options, "replication", default=3),
    )


def _split(url: str) -> SplitResult:
    split = urlsplit(url)
    if split.scheme != "cassandra" or not split.netloc or split.fragment:
        raise UsageError(f"store: write {FORM}")
    return split


def _nodes_of(text: str) -> tuple[tuple[str, ...], int]:
    """Of `h1,h2:9042`; whichever host has the port, all have it."""
    try:
        nodes = [urlsplit(f"//{node}") for node in text.split(",")]
        ports = {node.port for node in nodes} - {None}
    except ValueError:
        raise UsageError(f"store: {text!r} names no hosts; write {FORM}") from None
    hosts = tuple(node.hostname for node in nodes if node.hostname)
    if len(hosts) != len(nodes):
        raise UsageError(f"store: {text!r} names no hosts; write {FORM}")
    if len(ports) > 1:
        raise UsageError(f"store: {text!r} has several ports; all nodes of a cluster have the same")
    return hosts, ports.pop() or DEFAULT_PORT if ports else DEFAULT_PORT


def _keyspace_of(path: str) -> str:
    keyspace = path.removeprefix("/")
    if not _KEYSPACE.fullmatch(keyspace):
        raise UsageError(
            f"store: {keyspace!r} cannot name a keyspace: lower-case letters, digits and _, at most 48;"
            f" write {FORM}"
        )
    return keyspace


def _options_of(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(OPTIONS)):
        raise UsageError(f"store: unknown option {unknown[0]!r}; known: {', '.join(OPTIONS)}")
    return options


def _count_of(options: dict[str, str], name: str, *, default: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"store: {name}={text}: must be a number")
    return int(text)


def _file_of(options: dict[str, str]) -> Path | None:
    if "cafile" not in options:
        return None
    path = Path(options["cafile"])
    if not path.is_file():
        raise UsageError(f"store: cafile {path}: there is no such file")
    return path
