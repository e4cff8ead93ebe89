"""Deciding whether a request may do what it asks for."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from panopticon.errors import UsageError
from workers.serving.access.token_file import Scope, TokenEntry, hash_of, read_tokens
from workers.serving.problems import Problem

LOOK_EVERY_S = 2.0
"""Time after which the file of tokens is looked at again."""

MAX_TOKEN_CHARS = 512

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The sender of a request, named by a token, or by the address if the service is open."""

    name: str
    scopes: frozenset[Scope]


class Access:
    """The tokens of a service. Without a file it is open to everyone who reaches it."""

    def __init__(
        self,
        path: Path | None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file with `open` before the first check."""
        self._path = path
        self._clock = clock
        self._monotonic = monotonic
        self._entries: tuple[TokenEntry, ...] = ()
        self._seen: tuple[int, ...] | None = None
        self._look_at_s = 0.0
        self._trouble: str | None = None

    def open(self) -> None:
        """Read the file for the first time. Raises: UsageError if that is not possible."""
        if self._path is not None:
            self._seen = _state_of(self._path)
            self._entries = read_tokens(self._path)
            self._look_at_s = self._monotonic() + LOOK_EVERY_S

    def trouble(self) -> str | None:
        """Return why the last change of the file is not in use, None if it is."""
        self._look()
        return self._trouble

    def check(self, authorization: str | None, scope: Scope, *, address: str) -> Caller:
        """Return who may do this: `authorization` is the header, `address` that of the client.

        Raises: Problem `unauthorized` without a valid token, `forbidden` if it lacks the scope.
        """
        if self._path is None:
            return Caller(name=address, scopes=frozenset(Scope))
        self._look()
        entry = self._entry_of(authorization)
        if scope not in entry.scopes:
            raise Problem(
                slug="forbidden",
                detail=f"the token {entry.name!r} lacks the scope {scope}",
                allowed=[scope],
                headers=_challenge(f'error="insufficient_scope", scope="{scope}"'),
            )
        return Caller(name=entry.name, scopes=entry.scopes)

    def _entry_of(self, authorization: str | None) -> TokenEntry:
        if not authorization:
            raise Problem(slug="unauthorized", detail="the request has no header Authorization")
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS:
            raise _invalid("the header Authorization is not 'Bearer TOKEN'")
        digest = hash_of(token)
        found: TokenEntry | None = None
        # Every entry is compared, so that the time says nothing about which one is nearly right.
        for entry in self._entries:
            if hmac.compare_digest(entry.sha256, digest):
                found = entry
        if found is None:
            raise _invalid("the token is not known; it may have been revoked")
        if found.is_expired(datetime.fromtimestamp(self._clock(), UTC)):
            raise _invalid(f"the token {found.name!r} expired at {found.expires:%Y-%m-%dT%H:%M:%SZ}")
        return found

    def _look(self) -> None:
        """Read the file again if it changed since the last look."""
        now_s = self._monotonic()
        if self._path is None or now_s < self._look_at_s:
            return
        self._look_at_s = now_s + LOOK_EVERY_S
        state = _state_of(self._path)
        # What could not be read may have been a matter of rights, which change no time of the file.
        if state == self._seen and self._trouble is None:
            return
        try:
            entries = read_tokens(self._path)
        except UsageError as error:
            if self._trouble != str(error):
                log.error("%s; the tokens read before stay in use", error)
            self._trouble = str(error)
            return
        self._seen, self._entries, self._trouble = state, entries, None
        log.info("tokens_file %s: read again, %d tokens", self._path, len(entries))


def _invalid(detail: str) -> Problem:
    return Problem(
        slug="unauthorized",
        detail=detail,
        headers=_challenge('error="invalid_token"'),
    )


def _challenge(fault: str) -> dict[str, str]:
    return {"www-authenticate": f'Bearer realm="panopticon", {fault}'}


def _state_of(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def refuse_open_service(host: str, tokens_file: Path | None) -> None:
    """Raise UsageError if others than this machine could use the service without a token."""
    if tokens_file is None and not is_loopback(host):
        raise UsageError(
            f"http_host {host} can be reached from other machines, and the setting tokens_file is empty; set "
            "it and make a token (panopticon tokens add NAME --scope analyze), or set http_host to 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches this address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
