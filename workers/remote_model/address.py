"""The address of a service, as the setting `espresso` names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from panopticon.credentials import masked
from panopticon.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An origin, and the path in front of all paths of the service."""

    origin: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse the setting. Raises: UsageError for anything but http:// or https:// with a host."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _wrong(url) from None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise _wrong(url)
        if "@" in parts.netloc:
            raise UsageError(
                "setting 'espresso' holds a user name or password; put a token into the setting "
                "espresso_token"
            )
        name = f"[{host}]" if ":" in host else host
        return cls(
            origin=f"{parts.scheme}://{name}{f':{port}' if port is not None else ''}",
            prefix=parts.path.rstrip("/"),
        )


def _wrong(url: str) -> UsageError:
    return UsageError(f"setting 'espresso' is {masked(url)!r}; it must be like http://espresso.example:8080")
