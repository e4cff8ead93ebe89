"""What an `opensearch://` URL says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from panopticon.errors import UsageError

FORM = "opensearch://user:password@host1:9200,host2:9200/index?tls=1&cafile=…"
OPTIONS = ("tls", "cafile", "shards", "replicas")
DEFAULT_PORT = 9200

_INDEX = re.compile(r"[a-z][a-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One index of one cluster, and how to get in."""

    hosts: tuple[tuple[str, int], ...]
    """Names and ports of some nodes, or of what stands before them."""
    index: str
    """The alias by which everybody calls it."""
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    cafile: Path | None = None
    """PEM certificates to verify nodes by; None: those that this machine trusts."""
    shards: int = 1
    """Of an index made here."""
    replicas: int | None = None
    """Of an index made here; None: one where there is a second node."""

    def __str__(self) -> str:
        """Where it is, without who comes: `h1:9200,h2:9200/photos`."""
        return f"{','.join(f'{host}:{port}' for host, port in self.hosts)}/{self.index}"


def address_of(url: str) -> Address:
    """Raises: UsageError, which quotes no password, for anything but the form above."""
    split = _split(url)
    login, _, nodes = split.netloc.rpartition("@")
    user, _, password = login.partition(":")
    options = _options_of(split.query)
    return Address(
        hosts=tuple(_host_of(node) for node in nodes.split(",")),
        index=_index_of(split.path),
        user=unquote(user),
        password=unquote(password),
        tls=_count_of(options, "tls", default=int("cafile" in options)) > 0,
        cafile=_file_of(options),
        shards=max(_count_of(options, "shards", default=1), 1),
        replicas=_count_of(options, "replicas", default=0) if "replicas" in options else None,
    )


def _split(url: str) -> SplitResult:
    try:
        split = urlsplit(url)
    except ValueError:
        raise UsageError(f"search: write {FORM}") from None
    if split.scheme != "opensearch" or not split.netloc or split.fragment:
        raise UsageError(f"search: write {FORM}")
    return split


def _host_of(node: str) -> tuple[str, int]:
    try:
        split = urlsplit(f"//{node}")
        host, port = split.hostname, split.port
    except ValueError:
        host, port = None, None
    if not host:
        raise UsageError(f"search: {node!r} names no host; write {FORM}")
    return host, DEFAULT_PORT if port is None else port


def _index_of(path: str) -> str:
    index = path.removeprefix("/")
    if not _INDEX.fullmatch(index):
        raise UsageError(
            f"search: {index!r} cannot name an index: lower-case letters, digits, - and _, at most 100;"
            f" write {FORM}"
        )
    return index


def _options_of(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(OPTIONS)):
        raise UsageError(f"search: unknown option {unknown[0]!r}; known: {', '.join(OPTIONS)}")
    return options


def _count_of(options: dict[str, str], name: str, *, default: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise UsageError(f"search: {name}={text}: must be a number")
    return int(text)


def _file_of(options: dict[str, str]) -> Path | None:
    if "cafile" not in options:
        return None
    path = Path(options["cafile"])
    if not path.is_file():
        raise UsageError(f"search: cafile {path}: there is no such file")
    return path
