"""What an `amqp://` or `amqps://` URL says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from panopticon.errors import UsageError

FORM = "amqp://user:password@host:5672/vhost?management=http://host:15672"
OPTIONS = ("management", "heartbeat", "counted_s", "cafile", "certfile", "keyfile")
PORTS = {"amqp": 5672, "amqps": 5671}
MANAGEMENT_PORT = 15672
HEARTBEAT_S = 10
MAX_HEARTBEAT_S = 3600
COUNTED_S = 6.0
"""Quorum queues count what is held each 5 s, unless the broker's quorum_tick_interval says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """How a broker is known, and how it knows us, where connections are encrypted."""

    cafile: Path | None = None
    """PEM certificates to verify the broker by; None: those of this machine."""
    certfile: Path | None = None
    """A certificate of ours; None: a password alone."""
    keyfile: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One virtual host of one broker, and how to get in."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    security: Security | None
    """None: connections are not encrypted."""
    management: str
    """URL of the management plug-in, without who comes."""
    heartbeat_s: int
    counted_s: float
    """After so long without a change every count is true."""

    def __str__(self) -> str:
        """Where it is, without who comes: `broker:5672/photos`."""
        return f"{self.host}:{self.port}/{self.vhost.removeprefix('/')}"


def address_of(url: str) -> Address:
    """Raises: UsageError, which quotes no password, for anything but the form above."""
    split = _split(url)
    options = _options_of(split.query)
    host = split.hostname or ""
    return Address(
        host=host,
        port=_port_of(split),
        vhost=unquote(split.path.removeprefix("/")) or "/",
        user=unquote(split.username or "guest"),
        password=unquote(split.password or "guest"),
        security=_security_of(split.scheme, options),
        management=_management_of(options, host),
        heartbeat_s=_heartbeat_of(options),
        counted_s=_counted_of(options),
    )


def _split(url: str) -> SplitResult:
    split = urlsplit(url)
    if split.scheme not in PORTS or not split.hostname or split.fragment or "/" in split.path[1:]:
        raise UsageError(f"broker: write {FORM}; in a name, write %2f for / and %40 for @")
    return split


def _port_of(split: SplitResult) -> int:
    try:
        return split.port or PORTS[split.scheme]
    except ValueError:
        raise UsageError(f"broker: the port must be a number up to 65535; write {FORM}") from None


def _options_of(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(OPTIONS)):
        raise UsageError(f"broker: unknown option {unknown[0]!r}; known: {', '.join(OPTIONS)}")
    return options


def _security_of(scheme: str, options: dict[str, str]) -> Security | None:
    files = {name: _file_of(name, options) for name in ("cafile", "certfile", "keyfile")}
    given = [name for name, file in files.items() if file]
    if scheme == "amqp":
        if given:
            raise UsageError(f"broker: {given[0]} is for encrypted connections; write amqps://")
        return None
    if files["keyfile"] and not files["certfile"]:
        raise UsageError("broker: keyfile needs the certfile that it belongs to")
    return Security(**files)


def _file_of(name: str, options: dict[str, str]) -> Path | None:
    if name not in options:
        return None
    path = Path(options[name])
    if not path.is_file():
        raise UsageError(f"broker: {name} {path}: there is no such file")
    return path


def _management_of(options: dict[str, str], host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    url = options.get("management", f"http://{shown}:{MANAGEMENT_PORT}").rstrip("/")
    split = urlsplit(url)
    if split.scheme not in ("http", "https") or not split.hostname or split.username is not None:
        raise UsageError(
            "broker: management must be a URL such as http://host:15672, without user and password: "
            "it takes those of the broker"
        )
    return url


def _heartbeat_of(options: dict[str, str]) -> int:
    text = options.get("heartbeat", str(HEARTBEAT_S))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_HEARTBEAT_S):
        raise UsageError(
            f"broker: heartbeat={text}: must be seconds, 1 to {MAX_HEARTBEAT_S}; without heartbeats a "
            "connection that is cut off is never missed"
        )
    return int(text)


def _counted_of(options: dict[str, str]) -> float:
    text = options.get("counted_s", str(COUNTED_S))
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
