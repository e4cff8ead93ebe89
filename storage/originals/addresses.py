"""The addresses that a worker may connect to.

Upload services choose the URIs of images, and must not be able to send a worker into its own network.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from panopticon.errors import Rejected, UsageError

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

PORTS = {"http": 80, "https": 443}
PUBLIC_V6 = IPv6Network("2000::/3")
TRANSLATED = IPv6Network("64:ff9b::/96")
"""Addresses with an IPv4 address in their last 32 bits, reached through the network's own translator."""
REFUSED_V4 = (
    IPv4Network("192.0.0.0/24"),
    # It looks public, but in Azure the host of the virtual machine answers.
    IPv4Network("168.63.129.16/32"),
)

_HOST_AND_PORT = re.compile(r"(?P<host>[^\s/@\[\]:]+|\[[0-9a-fA-F:.]+\])(:(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedHost:
    """A host in the settings, by its name or address. `port` None: any port."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedAddresses:
    """Every public address, and the networks and hosts that are named here."""

    networks: tuple[IpNetwork, ...] = ()
    hosts: tuple[NamedHost, ...] = ()

    def resolve(self, host: str, port: int) -> list[tuple[int, str]]:
        """Return (address family, address) for every allowed address of this host.

        Raises: OSError if there is no such name, Rejected (bad_uri; address_not_allowed if none is allowed).
        """
        found = resolve(host, port)
        allowed = [(family, address) for family, address in found if self.allows(host, address, port)]
        if not allowed:
            raise Rejected("address_not_allowed", f"{host} is not public; see the setting private_hosts")
        return allowed

    def allows(self, host: str, address: str, port: int) -> bool:
        """Return whether a connection is allowed. `address`: the address that `host` resolved to."""
        if any(entry.host == _folded(host) and entry.port in (None, port) for entry in self.hosts):
            return True
        given = ip_address(address.partition("%")[0])
        reached = _embedded(given) or given
        listed = any(reached.version == network.version and reached in network for network in self.networks)
        return listed or is_public(reached)


def resolve(host: str, port: int) -> list[tuple[int, str]]:
    """Return (address family, address) for every address of this host, allowed or not.

    Raises: OSError if there is no such name, Rejected(`bad_uri`).
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise Rejected("bad_uri", "no host can have this name") from None
    return [(family, str(address[0])) for family, _, _, _, address in found]


def is_public(address: IpAddress) -> bool:
    """Return whether an address belongs to one host that is reached through the internet."""
    if isinstance(address, IPv6Address):
        embedded = _embedded(address)
        return is_public(embedded) if embedded else address in PUBLIC_V6 and address.is_global
    refused = any(address in network for network in REFUSED_V4)
    return address.is_global and not (refused or address.is_multicast or address.is_reserved)


def read_allowed(entries: Sequence[str], *, configured: Sequence[NamedHost]) -> AllowedAddresses:
    """Parse the entries of the setting private_hosts. `configured`: hosts that other settings name.

    Raises: UsageError for an entry that is neither a network nor a host.
    """
    networks = [network for entry in entries if (network := _network(entry))]
    hosts = [_host(entry) for entry in entries if not _network(entry)]
    return AllowedAddresses(networks=tuple(networks), hosts=(*hosts, *configured))


def host_of_setting(url: str) -> NamedHost | None:
    """Return the host of a URL in the settings; None unless it is http or https. Raises: UsageError."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        return None
    try:
        port = parts.port or PORTS[parts.scheme]
    except ValueError:
        port = 0
    if not parts.hostname or not port or "@" in parts.netloc:
        raise UsageError(f"a {parts.scheme}:// URL in the settings names no host, or more than host and port")
    return named_host(parts.hostname, port)


def named_host(host: str, port: int | None) -> NamedHost:
    """Return a host whose name is in the form in which names are compared."""
    return NamedHost(host=_folded(host), port=port)


def _network(entry: str) -> IpNetwork | None:
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        return None


def _host(entry: str) -> NamedHost:
    found = _HOST_AND_PORT.fullmatch(entry)
    if found is None:
        raise UsageError(
            f"setting 'private_hosts' names {entry!r}; it must be a host, host:port or 10.0.0.0/8"
        )
    port = int(found["port"]) if found["port"] else None
    return named_host(found["host"], port)


def _folded(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _embedded(address: IpAddress) -> IPv4Address | None:
    """Return the IPv4 address that is reached through this IPv6 address, if there is one."""
    if isinstance(address, IPv4Address):
        return None
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
