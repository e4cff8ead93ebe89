"""The URL of a server, taken apart: what the URLs of Cassandra, OpenSearch and RabbitMQ have in common.

Every error is a UsageError that begins with the setting the URL comes from. It quotes no password.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from panopticon.errors import UsageError

MAX_DIGITS = 4
"""Digits of a number in an option: no count of shards, nodes or copies needs more."""


def split_url(url: str, *, setting: str, schemes: Collection[str], form: str) -> SplitResult:
    """Split a URL.

    Raises: UsageError, which quotes `form`, for another scheme, no host, a fragment, or `@` in the path.
    """
    try:
        split = urlsplit(url)
    except ValueError:
        raise UsageError(f"{setting}: write {form}") from None
    if split.scheme not in schemes or not split.netloc or split.fragment:
        raise UsageError(f"{setting}: write {form}")
    # A password with an unescaped `/` in it ends the host too early; its rest must not be taken for a name.
    if "@" in split.path:
        raise UsageError(f"{setting}: escape user and password: %2f for /, %40 for @; write {form}")
    return split


def split_login(netloc: str) -> tuple[str, str, str]:
    """Split `user:password@host1,host2:9042` into user, password and hosts.

    User and password are percent-decoded, and empty if the URL has none.
    """
    login, _, hosts = netloc.rpartition("@")
    user, _, password = login.partition(":")
    return unquote(user), unquote(password), hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlOptions:
    """The options of one URL, such as `cafile` in `?cafile=ca.pem`."""

    setting: str
    """The setting that the URL comes from; every error names it."""
    values: Mapping[str, str]
    """The text of each option that the URL has."""

    @classmethod
    def parse(cls, query: str, *, setting: str, known: Collection[str]) -> UrlOptions:
        """Read a query. Raises: UsageError for an option that is not `known`."""
        values = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := sorted(values.keys() - set(known)):
            # With an unescaped `?` in it, the rest of a password is taken for options, up to the `@`.
            name = "" if "@" in query else f" {unknown[0]!r}"
            raise UsageError(f"{setting}: unknown option{name}; known: {', '.join(known)}")
        return cls(setting=setting, values=values)

    def number(self, name: str, *, default: int) -> int:
        """Return a whole number of at most four digits. Raises: UsageError for anything else."""
        text = self.values.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
            raise UsageError(f"{self.setting}: {name}={text}: must be a number")
        return int(text)

    def file(self, name: str) -> Path | None:
        """Return the path of an existing file, or None if the option is absent. Raises: UsageError."""
        if name not in self.values:
            return None
        path = Path(self.values[name])
        if not path.is_file():
            raise UsageError(f"{self.setting}: {name} {path}: there is no such file")
        return path
