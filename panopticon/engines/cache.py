"""A cache of files that can be rebuilt, each named by its key and its own SHA-256.

A file is put in place by one rename, so that nobody sees half of it and two writers at once do no harm. A
file that was damaged later no longer matches its name and counts as absent. What was compared with the name
is what the caller gets, so that a file that is exchanged in between is never loaded. The name cannot protect
from a file that somebody else adds: a folder that every user can write to is refused.
"""

from __future__ import annotations

import hashlib
import stat
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from panopticon.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFile:
    """A file of the cache, and its content as it was when it matched its name."""

    path: Path
    content: bytes = field(repr=False)


def find_file(folder: Path, key: str, suffix: str) -> CachedFile | None:
    """Return an undamaged file of this key, if there is one.

    Raises: UsageError if every user can write to the folder.
    """
    _refuse_shared(folder)
    for path in sorted(folder.glob(f"{key}.*{suffix}")):
        content = path.read_bytes()
        if path.name == _name(key, content, suffix):
            return CachedFile(path=path, content=content)
    return None


def add_file(folder: Path, key: str, suffix: str, content: bytes) -> CachedFile:
    """Store `content` under `key`.

    Raises: UsageError if the folder cannot be written to, or if every user can write to it.
    """
    path = folder / _name(key, content, suffix)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        _refuse_shared(folder)
        _write_at_once(path, content)
    except OSError as error:
        raise UsageError(f"cache folder {folder}: {error.strerror}; name another with cache_dir") from None
    return CachedFile(path=path, content=content)


def _refuse_shared(folder: Path) -> None:
    # The sticky bit does not help: it keeps others from replacing a file, not from adding one.
    if folder.is_dir() and folder.stat().st_mode & stat.S_IWOTH:
        raise UsageError(
            f"cache folder {folder}: every user can write to it, and so give you another model;"
            f" chmod o-w {folder}, or name another with cache_dir"
        )


def _name(key: str, content: bytes, suffix: str) -> str:
    return f"{key}.{hashlib.sha256(content).hexdigest()}{suffix}"


def _write_at_once(path: Path, content: bytes) -> None:
    partial = path.with_name(f".partial-{uuid.uuid4().hex}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
