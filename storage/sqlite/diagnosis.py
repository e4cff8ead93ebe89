"""The health of one SQLite file, read without changing the file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from panopticon.errors import Damaged, Unavailable, UsageError
from panopticon.interfaces import Finding
from storage.health.disks import existing, free_room, local_disk, read_mounts
from storage.health.findings import fail, ok, warn
from storage.sqlite.damage import find_damage
from storage.sqlite.database import SqliteDatabase
from storage.sqlite.schema import schema_versions

FILE, SCHEMA, INTEGRITY = "database: file", "database: schema", "database: integrity"
LIMIT_S = 60.0
"""Longest time that the search for damage takes."""
EXPLAIN_LIMIT_S = 10.0
"""The same after a failure."""

CREATED = "it is created at first use (panopticon index PATH); if it should exist, correct --database"


def diagnose_file(database: SqliteDatabase, *, if_missing: str = CREATED) -> list[Finding]:
    """Check file system, free space, permissions, schema and integrity.

    The file is neither created nor migrated. `if_missing` is the advice where it could be created.
    """
    path = database.path
    place = [
        local_disk("database: file system", path, mounts=read_mounts()),
        free_room("database: disk", path),
    ]
    if path.exists():
        return [*place, *_file(database)]
    if os.access(existing(path), os.W_OK):
        return [*place, warn(FILE, f"{path} does not exist yet", if_missing, last=True)]
    seen = f"{path} does not exist and cannot be created"
    return [*place, fail(FILE, seen, "name a place you may write to", last=True)]


def damage_of(database: SqliteDatabase) -> Damaged | None:
    """Return what is wrong with a file after a failure that damage may explain; None if nothing is found."""
    if not database.path.is_file():
        return None
    try:
        with database.looking() as connection:
            damage = find_damage(connection, limit_s=EXPLAIN_LIMIT_S)
    except Damaged as error:
        return error
    except (UsageError, Unavailable):
        return None
    return Damaged(str(database.path), damage) if damage else None


def _file(database: SqliteDatabase) -> Iterator[Finding]:
    path = database.path
    if path.is_dir():
        yield fail(FILE, f"{path} is a folder", "name a file in it", last=True)
        return
    # SQLite writes its journal next to the file, so the folder must be writable too.
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        yield ok(FILE, f"{path}, {path.stat().st_size / 2**20:.1f} MiB")
    else:
        advice = f"if workers and indexers are to use it, chown or chmod {path} and its folder"
        yield warn(FILE, f"{path} or its folder cannot be written, so it can only be read", advice)
    try:
        with database.looking() as connection:
            yield _schema(connection)
            yield _integrity(connection, path)
    except Damaged as error:
        yield _damaged(error.reason, path)
    except UsageError as error:
        yield fail(SCHEMA, str(error), last=True)
    except Unavailable as error:
        yield _damaged(error.reason, path)


def _schema(connection: sqlite3.Connection) -> Finding:
    found, known = schema_versions(connection)
    if found == known:
        return ok(SCHEMA, f"version {found}")
    # Any further question would use the file, and so migrate it.
    return ok(SCHEMA, f"version {found}; the next use migrates it to {known}", last=True)


def _integrity(connection: sqlite3.Connection, path: Path) -> Finding:
    damage = find_damage(connection, limit_s=LIMIT_S)
    if damage:
        return _damaged(damage, path)
    if damage is None:
        return ok(INTEGRITY, f"no damage in what was read within {LIMIT_S:.0f} s, which is not all of it")
    return ok(INTEGRITY, "sound")


def _damaged(reason: str, path: Path) -> Finding:
    reason = Damaged(str(path), reason).reason
    advice = f"stop every process that uses it, and restore {path} from a backup"
    return fail(INTEGRITY, reason, advice, last=True)
