"""A cache of files that can be rebuilt, each named by its key and its own SHA-256.

A file is put in place by one rename, so that nobody sees half of it and two writers at once do no harm. A
file that was damaged later no longer matches its name and counts as absent.
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from panopticon.errors import UsageError


def find_file(folder: Path, key: str, suffix: str) -> Path | None:
    """Return an undamaged file of this key, if there is one."""
    candidates = sorted(folder.glob(f"{key}.*{suffix}"))
    return next((path for path in candidates if path.name == _name(key, path.read_bytes(), suffix)), None)


def add_file(folder: Path, key: str, suffix: str, content: bytes) -> Path:
    """Store `content` under `key`. Raises: UsageError if the folder cannot be written to."""
    path = folder / _name(key, content, suffix)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_at_once(path, content)
    except OSError as error:
        raise UsageError(f"cache folder {folder}: {error.strerror}; name another with cache_dir") from None
    return path


def _name(key: str, content: bytes, suffix: str) -> str:
    return f"{key}.{hashlib.sha256(content).hexdigest()}{suffix}"


def _write_at_once(path: Path, content: bytes) -> None:
    partial = path.with_name(f".partial-{uuid.uuid4().hex}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
