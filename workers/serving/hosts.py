"""The hosts of a deployment, which `GET /v1/hosts` lists: from a file or from DNS, or this one alone.

Clients read the list to send images straight to a host. A list that cannot be read again is replaced by the
last good one: a slip in a file, or DNS that is down, takes no host away from anybody.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from random import SystemRandom
from typing import Protocol
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from panopticon.credentials import masked
from panopticon.errors import PanopticonError, Unavailable, UsageError
from workers.runtime.clock import Clock

log = logging.getLogger(__name__)

SELF_MAX_AGE_S = 30.0
FILE_MAX_AGE_S = 30.0
FILE_AGAIN_S = 1.0
"""Seconds for which a file is not read again, so that its reads do not grow with the requests."""
MAX_FILE_BYTES = 1024 * 1024
RETRY_S = 5.0
"""Seconds after which a list that could not be read is tried again, and for which the last good one holds."""
DNS_S = 2.0
DNS_TRY_S = 0.7
"""Seconds for one name server, after which the next one is asked."""
MIN_AGE_S = 1.0
MAX_SHOWN_CHARS = 100
DNS_PORT = 53

_HOST_AND_PORT = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?")
_SRV_NAME = re.compile(r"_[A-Za-z0-9-]+\._tcp(\.[A-Za-z0-9_-]+)+\.?")
_SETTING = "setting 'hosts'"
_EXAMPLES = "file:///etc/panopticon/hosts or srv://_panopticon._tcp.example.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostList:
    """The URLs of hosts, without a path."""

    urls: tuple[str, ...]
    max_age_s: float
    """Seconds for which a client may use the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SrvRecord:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    host: str
    port: int


class HostSource(Protocol):
    """A place in which the list is kept."""

    @property
    def again_s(self) -> float | None:
        """Seconds after which it is read again; None: once its list is too old."""

    def read(self) -> HostList:
        """Raises: UsageError if a person has to change it; Unavailable if it cannot be read now."""


class Hosts:
    """The list of hosts, for requests in many threads. Not for the event loop: it may wait for DNS."""

    def __init__(self, source: HostSource, *, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._last: HostList | None = None
        self._read_at_s = 0.0
        self._due_s = 0.0
        self._error: PanopticonError | None = None

    def check(self) -> None:
        """Read the list once, as a program starts. Raises: UsageError; what is only down is logged."""
        with self._lock:
            self._read()
        if isinstance(self._error, UsageError):
            raise self._error

    def current(self) -> HostList:
        """Return the list, or the last good one. Raises: Unavailable if there has been none yet."""
        last = self._last
        if self._clock.monotonic() >= self._due_s and self._lock.acquire(blocking=last is None):
            try:
                # Another thread may have read it while this one waited.
                if self._clock.monotonic() >= self._due_s:
                    self._read()
            finally:
                self._lock.release()
        last, error = self._last, self._error
        if last is None:
            raise Unavailable("hosts", str(error))
        age_s = self._clock.monotonic() - self._read_at_s
        left_s = RETRY_S if error else max(MIN_AGE_S, last.max_age_s - age_s)
        return HostList(urls=last.urls, max_age_s=left_s)

    def _read(self) -> None:
        before, self._error = self._error, None
        try:
            found = self._source.read()
        except (UsageError, Unavailable) as error:
            self._error = error
            self._due_s = self._clock.monotonic() + RETRY_S
            # Once for each new reason, since it is tried again every few seconds.
            if str(error) != str(before):
                log.warning(
                    "list of hosts: %s; %s", error, "the last good one stays" if self._last else "none yet"
                )
            return
        if before is not None:
            log.info("list of hosts: read again, %d hosts", len(found.urls))
        self._last = found
        self._read_at_s = self._clock.monotonic()
        again_s = found.max_age_s if self._source.again_s is None else self._source.again_s
        self._due_s = self._read_at_s + max(MIN_AGE_S, again_s)


class FileHosts:
    """A HostSource in a file with a host a line."""

    again_s: float | None = FILE_AGAIN_S

    def __init__(self, path: Path, *, scheme: str) -> None:
        self._path = path
        self._scheme = scheme

    def read(self) -> HostList:
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise UsageError(f"hosts file {self._path}: {error.strerror}; {_SETTING} names it") from None
        if len(content) > MAX_FILE_BYTES:
            raise UsageError(f"hosts file {self._path}: larger than {MAX_FILE_BYTES} bytes")
        urls = parse_hosts(content.decode("utf-8", "replace"), source=str(self._path), scheme=self._scheme)
        return HostList(urls=urls, max_age_s=FILE_MAX_AGE_S)


class DnsHosts:
    """A HostSource in the SRV records of one name."""

    again_s: float | None = None

    def __init__(self, name: str, *, scheme: str, resolver: tuple[str, int] | None) -> None:
        """`resolver`: address and port of a name server; None: those of this machine."""
        self._name = name
        self._scheme = scheme
        self._resolver = resolver
        self._random = SystemRandom()

    def read(self) -> HostList:
        import dns.exception
        import dns.resolver

        try:
            resolver = dns.resolver.Resolver(configure=self._resolver is None)
            resolver.timeout = DNS_TRY_S
            if self._resolver:
                address, resolver.port = self._resolver
                resolver.nameservers = [address]
            answer = resolver.resolve(self._name, "SRV", lifetime=DNS_S, search=False)
        except (dns.exception.DNSException, OSError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise Unavailable("hosts", f"DNS, SRV records of {self._name}: {reason:.200}") from None
        records = [
            SrvRecord(
                priority=record.priority,
                weight=record.weight,
                host=record.target.to_text(omit_final_dot=True),
                port=record.port,
            )
            for record in answer
            # A dot alone says that there is no such service (RFC 2782).
            if record.target.to_text() != "."
        ]
        if not records:
            raise Unavailable("hosts", f"DNS, SRV records of {self._name}: none names a host")
        ordered = order_records(records, random=self._random)
        urls = dict.fromkeys(f"{self._scheme}://{record.host.lower()}:{record.port}" for record in ordered)
        return HostList(urls=tuple(urls), max_age_s=float(answer.rrset.ttl if answer.rrset else 0))


def open_hosts(setting: str, *, clock: Clock) -> Hosts | None:
    """Return the list that the setting `hosts` names; None if it is empty. Reads nothing yet.

    Raises: UsageError.
    """
    return Hosts(_source_of(setting), clock=clock) if setting else None


def url_of(http_host: str, *, scheme: str, local_host: str, port: int) -> str:
    """Return the URL of this host: the address in the setting `http_host`.

    `local_host`: the address of this machine at which a connection arrived; it is taken if the service
    listens on every interface. The Host header of a request is not, since it is whatever the client wrote.
    """
    host = local_host if http_host in ("0.0.0.0", "::") else http_host  # noqa: S104
    try:
        address = ip_address(host)
    except ValueError:
        return f"{scheme}://{host.lower()}:{port}"
    if isinstance(address, IPv6Address):
        return f"{scheme}://{address.ipv4_mapped or f'[{address}]'}:{port}"
    return f"{scheme}://{address}:{port}"


def parse_hosts(text: str, *, source: str, scheme: str) -> tuple[str, ...]:
    """Return the URLs of a file with a URL or `host:port` a line; `#` begins a comment.

    `scheme`: that of the lines without one. Raises: UsageError naming the first bad line, by its number.
    """
    urls = dict.fromkeys(
        _url_in(line, f"hosts file {source}, line {number}", scheme) for number, line in _entries(text)
    )
    if not urls:
        raise UsageError(f"hosts file {source}: it names no host; write one a line, such as 10.0.0.1:8080")
    return tuple(urls)


def order_records(records: Iterable[SrvRecord], *, random: SystemRandom) -> list[SrvRecord]:
    """Return the records by priority, and those of one priority in a random order by weight (RFC 2782)."""
    left = sorted(records, key=lambda record: (record.priority, record.weight))
    ordered: list[SrvRecord] = []
    while left:
        same = [record for record in left if record.priority == left[0].priority]
        # Weight 0 has a small chance among others, and an equal one among its like.
        chosen = random.choices(same, weights=[record.weight or 0.01 for record in same])[0]
        left.remove(chosen)
        ordered.append(chosen)
    return ordered


def _entries(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if entry:
            yield number, entry


def _url_in(entry: str, place: str, scheme: str) -> str:
    """Return the URL that one line means, without a slash at its end."""
    given, separator, rest = entry.partition("://")
    match = _HOST_AND_PORT.fullmatch(rest.rstrip("/") if separator else entry)
    known = not separator or given.lower() in ("http", "https")
    # Without a scheme there is no usual port.
    if not known or match is None or not (separator or match["port"]) or not _is_port(match["port"]):
        shown = repr(masked(entry))[:MAX_SHOWN_CHARS]
        raise UsageError(f"{place}: {shown} is neither a URL such as http://10.0.0.1:8080 nor host:port")
    port = f":{match['port']}" if match["port"] else ""
    return f"{given.lower() if separator else scheme}://{match['host'].lower()}{port}"


def _source_of(setting: str) -> HostSource:
    parts = urlsplit(setting)
    match parts.scheme:
        case "file":
            options = _options(parts, known=("tls",))
            if parts.netloc not in ("", "localhost") or len(parts.path) < 2:
                raise UsageError(f"{_SETTING}: a file is named like file:///etc/panopticon/hosts")
            return FileHosts(Path(unquote(parts.path)), scheme=_scheme(options))
        case "srv":
            options = _options(parts, known=("tls", "resolver"))
            if not _SRV_NAME.fullmatch(parts.netloc) or parts.path not in ("", "/"):
                name = repr(masked(parts.netloc + parts.path))[:MAX_SHOWN_CHARS]
                raise UsageError(f"{_SETTING}: {name} must be a name like _panopticon._tcp.example.org")
            return DnsHosts(parts.netloc, scheme=_scheme(options), resolver=_resolver(options))
    raise UsageError(f"{_SETTING} begins with {parts.scheme}://; it must be like {_EXAMPLES}")


def _options(parts: SplitResult, *, known: Sequence[str]) -> Mapping[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in known:
            raise UsageError(f"{_SETTING}: unknown option {name[:40]!r}; known: {', '.join(known)}")
    return options


def _scheme(options: Mapping[str, str]) -> str:
    tls = options.get("tls", "0")
    if tls not in ("0", "1"):
        raise UsageError(f"{_SETTING}: option tls is {tls[:40]!r}; it must be 0 or 1")
    return "https" if tls == "1" else "http"


def _resolver(options: Mapping[str, str]) -> tuple[str, int] | None:
    text = options.get("resolver")
    if text is None:
        return None
    match = _HOST_AND_PORT.fullmatch(text)
    try:
        address = str(ip_address(match["host"].strip("[]"))) if match else ""
    except ValueError:
        address = ""
    if not match or not address or not _is_port(match["port"]):
        raise UsageError(f"{_SETTING}: option resolver is {text[:40]!r}; it must be like 127.0.0.1:5353")
    return address, int(match["port"] or DNS_PORT)


def _is_port(text: str | None) -> bool:
    return text is None or 0 < int(text) < 65536
