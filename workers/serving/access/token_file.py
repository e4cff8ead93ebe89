"""The file of bearer tokens: names, scopes and hashes, never the tokens themselves."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import tomli_w

from panopticon.errors import UsageError

TOKEN_PREFIX = "pan_"  # noqa: S105
"""Begins every token, so that a scanner for secrets finds one that was published."""

TOKEN_BYTES = 32
MAX_FILE_BYTES = 4 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    """A kind of request that a token allows."""

    READ = "read"
    ANALYZE = "analyze"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEntry:
    """One token, without the token itself."""

    name: str
    scopes: frozenset[Scope]
    sha256: bytes
    created: datetime
    expires: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Return whether the token is void at this time."""
        return self.expires is not None and now >= self.expires


def hash_of(token: str) -> bytes:
    """Return what the file holds for a token. It has 256 random bits, so that no salt is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def read_tokens(path: Path) -> tuple[TokenEntry, ...]:
    """Return the entries of a file. Raises: UsageError naming the file, the entry and the way out."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(
            f"tokens_file {path}: no such file; panopticon tokens add NAME --scope analyze makes it"
        ) from None
    except OSError as error:
        raise UsageError(f"tokens_file {path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"tokens_file {path}: larger than {MAX_FILE_BYTES} bytes; is it another file?")
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        # The message of a decoding error would show what was read, which may be a token pasted by mistake.
        fault = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not TOML"
        line = re.search(r"\(at line \d+, column \d+\)", str(error))
        raise UsageError(
            f"tokens_file {path}: {fault}{f' {line[0]}' if line else ''}; restore a copy, or make a new file "
            "with panopticon tokens add"
        ) from None
    entries = table.pop("tokens", {})
    if table or not isinstance(entries, dict):
        raise UsageError(
            f"tokens_file {path}: holds tables [tokens.NAME] only, as panopticon tokens add writes"
        )
    try:
        return tuple(_entry(name, values) for name, values in entries.items())
    except ValueError as error:
        raise UsageError(f"tokens_file {path}: {error}") from None


def _entry(name: str, values: Any) -> TokenEntry:
    """Return one entry. Raises: ValueError naming it and the key that is wrong."""
    if not _NAME.fullmatch(name) or not isinstance(values, dict):
        raise ValueError(
            f"entry {name[:64]!r}: a table with a name of letters, digits, '.', '_' and '-' is needed"
        )
    if unknown := values.keys() - {"scopes", "sha256", "created", "expires"}:
        raise ValueError(f"entry {name!r}: unknown key {sorted(unknown)[0][:64]!r}")
    scopes, sha256 = values.get("scopes"), values.get("sha256")
    if not isinstance(scopes, list) or not scopes or not {*map(str, scopes)} <= {*Scope}:
        raise ValueError(f"entry {name!r}: scopes is a list of {', '.join(Scope)}")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError(f"entry {name!r}: sha256 is 64 hexadecimal digits")
    times = {key: values[key] for key in ("created", "expires") if key in values}
    if "created" not in times or not all(isinstance(at, datetime) and at.tzinfo for at in times.values()):
        raise ValueError(f"entry {name!r}: created and expires are times with a zone: 2026-12-01T00:00:00Z")
    return TokenEntry(name=name, scopes=frozenset(map(Scope, scopes)), sha256=bytes.fromhex(sha256), **times)


def add_token(
    path: Path, name: str, scopes: frozenset[Scope], *, expires: datetime | None, now: datetime
) -> str:
    """Add an entry and return its token, which is written nowhere.

    Raises: UsageError if the name is taken or is not one, or the file cannot be read or written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            "a token's name is 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit: "
            f"{name!r:.80}"
        )
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    entry = TokenEntry(
        name=name,
        scopes=scopes,
        sha256=hash_of(token),
        created=now.astimezone(UTC).replace(microsecond=0),
        expires=expires,
    )

    def added(entries: Mapping[str, TokenEntry]) -> Mapping[str, TokenEntry]:
        if name in entries:
            raise UsageError(
                f"a token {name!r} exists already; choose another name, or revoke it: "
                f"panopticon tokens revoke {name}"
            )
        return {**entries, name: entry}

    _change(path, added, creates=True)
    return token


def revoke_token(path: Path, name: str) -> None:
    """Remove an entry. Raises: UsageError if there is none, or the file cannot be read or written."""

    def removed(entries: Mapping[str, TokenEntry]) -> Mapping[str, TokenEntry]:
        if name not in entries:
            known = ", ".join(entries) or "none"
            raise UsageError(f"no token is called {name!r:.80}; there are: {known}")
        return {key: entry for key, entry in entries.items() if key != name}

    _change(path, removed, creates=False)


def _change(
    path: Path,
    change: Callable[[Mapping[str, TokenEntry]], Mapping[str, TokenEntry]],
    *,
    creates: bool,
) -> None:
    # A link, as configuration management makes it, stays; the file that it leads to is replaced.
    target = path.resolve()
    try:
        with _locked(target.parent):
            is_new = creates and not target.exists()
            entries = () if is_new else read_tokens(target)
            _replace(target, change({entry.name: entry for entry in entries}))
    except OSError as error:
        raise UsageError(f"tokens_file {path}: cannot be written: {error.strerror}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # The folder is locked, since the file itself is another one after each change.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, entries: Mapping[str, TokenEntry]) -> None:
    tables = {
        entry.name: {
            "scopes": sorted(entry.scopes),
            "sha256": entry.sha256.hex(),
            "created": entry.created,
            **({"expires": entry.expires} if entry.expires else {}),
        }
        for entry in entries.values()
    }
    # mkstemp makes a file that only its owner can read.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(b"# Written by panopticon tokens; it holds no token, only their hashes.\n")
            tomli_w.dump({"tokens": tables}, file)
            if path.exists():
                # A service under another user goes on reading the file that root changes.
                before = path.stat()
                os.fchown(descriptor, before.st_uid, before.st_gid)
                os.fchmod(descriptor, before.st_mode & 0o777)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
