"""The parts of an `amqp://` or `amqps://` URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from panopticon.errors import UsageError
from storage.url_options import UrlOptions, split_url

FORM = (
    "amqp://user:password@host:5672/vhost?management=http://host:15672; "
    "in a name, write %2f for / and %40 for @"
)
OPTIONS = ("management", "heartbeat", "counted_s", "cafile", "certfile", "keyfile")
PORTS = {"amqp": 5672, "amqps": 5671}
MANAGEMENT_PORT = 15672
HEARTBEAT_S = 10
MAX_HEARTBEAT_S = 3600
COUNTED_S = 6.0
"""Quorum queues count leased messages every 5 s, unless the broker has another quorum_tick_interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """The certificates of an encrypted connection: those that verify the broker, and our own."""

    cafile: Path | None = None
    """PEM certificates to verify the broker by; None: those of this machine."""
    certfile: Path | None = None
    """Our certificate; None: we log in by password alone."""
    keyfile: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitAddress:
    """The address of one virtual host of one broker, with everything that is needed to log in."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    security: Security | None
    """None: connections are not encrypted."""
    management: str
    """URL of the management plug-in, without user and password."""
    heartbeat_s: int
    counted_s: float
    """Seconds without a change after which every count of the broker is exact."""

    def __str__(self) -> str:
        """Return the address without user and password: `broker:5672/photos`."""
        return f"{self.host}:{self.port}/{self.vhost.removeprefix('/')}"


def address_of(url: str) -> RabbitAddress:
    """Parse a URL of the form above. Raises: UsageError, which quotes no password, for anything else."""
    split = split_url(url, setting="broker", schemes=PORTS, form=FORM)
    # A virtual host is one name: a second slash belongs to it, and must be escaped.
    if not split.hostname or "/" in split.path[1:]:
        raise UsageError(f"broker: write {FORM}")
    options = UrlOptions.parse(split.query, setting="broker", known=OPTIONS)
    return RabbitAddress(
        host=split.hostname,
        port=_port_of(split),
        vhost=unquote(split.path.removeprefix("/")) or "/",
        user=unquote(split.username or "guest"),
        password=unquote(split.password or "guest"),
        security=_security_of(split.scheme, options),
        management=_management_of(options, split.hostname),
        heartbeat_s=_heartbeat_of(options),
        counted_s=_counted_of(options),
    )


def _port_of(split: SplitResult) -> int:
    try:
        return split.port or PORTS[split.scheme]
    except ValueError:
        raise UsageError(f"broker: the port must be a number up to 65535; write {FORM}") from None


def _security_of(scheme: str, options: UrlOptions) -> Security | None:
    files = {name: options.file(name) for name in ("cafile", "certfile", "keyfile")}
    given = [name for name, file in files.items() if file]
    if scheme == "amqp":
        if given:
            raise UsageError(f"broker: {given[0]} is for encrypted connections; write amqps://")
        return None
    if files["keyfile"] and not files["certfile"]:
        raise UsageError("broker: keyfile needs the certfile that it belongs to")
    return Security(**files)


def _management_of(options: UrlOptions, host: str) -> str:
    # A URL has an IPv6 address in brackets.
    written = f"[{host}]" if ":" in host else host
    url = options.values.get("management", f"http://{written}:{MANAGEMENT_PORT}").rstrip("/")
    split = urlsplit(url)
    if split.scheme not in ("http", "https") or not split.hostname or split.username is not None:
        raise UsageError(
            "broker: management must be a URL such as http://host:15672, without user and password: "
            "it takes those of the broker"
        )
    return url


def _heartbeat_of(options: UrlOptions) -> int:
    text = options.values.get("heartbeat", str(HEARTBEAT_S))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_HEARTBEAT_S):
        raise UsageError(
            f"broker: heartbeat={text}: must be seconds, 1 to {MAX_HEARTBEAT_S}; without heartbeats a "
            "connection that is cut off goes unnoticed"
        )
    return int(text)


def _counted_of(options: UrlOptions) -> float:
    text = options.values.get("counted_s", str(COUNTED_S))
    try:
        counted_s = float(text)
    except ValueError:
        counted_s = 0.0
    if not 0 < counted_s <= MAX_HEARTBEAT_S:
        raise UsageError(
            f"broker: counted_s={text}: must be seconds, up to {MAX_HEARTBEAT_S}; a little more than the "
            "broker's quorum_tick_interval"
        )
    return counted_s
