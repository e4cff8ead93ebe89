"""What can be said of one SQLite file without changing it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Finding, Health
from storage.health.disks import existing, free_room, local_disk, read_mounts
from storage.sqlite.database import SqliteDatabase, schema_versions


def diagnose_file(database: SqliteDatabase) -> list[Finding]:
    """Place, room, permissions, schema and integrity. The file is neither made nor migrated."""
    path = database.path
    place = [
        local_disk("database: file system", path, mounts=read_mounts()),
        free_room("database: disk", path),
    ]
    if path.exists():
        return [*place, *_file(database)]
    return [*place, _absent(path)]


def _absent(path: Path) -> Finding:
    if not os.access(existing(path), os.W_OK):
        return _fail("file", f"{path} is not there and cannot be made", "name a place you may write to")
    return Finding(
        check="database: file",
        health=Health.WARN,
        seen=f"{path} is not there yet",
        advice="it is made at first use (panopticon index PATH); if it should be there, correct --database",
        last=True,
    )


def _file(database: SqliteDatabase) -> Iterator[Finding]:
    path = database.path
    if path.is_dir():
        yield _fail("file", f"{path} is a folder", "name a file in it")
        return
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        yield _fail(
            "file", f"{path} or its folder cannot be written", f"chown or chmod {path} and its folder"
        )
        return
    yield _ok("file", f"{path}, {path.stat().st_size / 2**20:.1f} MiB")
    try:
        with database.looking() as connection:
            yield _schema(connection)
            yield _integrity(connection, path)
    except UsageError as error:
        yield _fail("schema", str(error), "")
    except Unavailable as error:
        yield _fail("integrity", error.reason, f"stop what uses it, and restore {path} from a backup")


def _schema(connection: sqlite3.Connection) -> Finding:
    """The last that is asked of an older one: any use would migrate it."""
    found, known = schema_versions(connection)
    if found == known:
        return _ok("schema", f"version {found}")
    seen = f"version {found}; the next use makes it {known}"
    return Finding(check="database: schema", health=Health.OK, seen=seen, last=True)


def _integrity(connection: sqlite3.Connection, path: Path) -> Finding:
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said == "ok":
        return _ok("integrity", "sound")
    return _fail("integrity", said.splitlines()[-1], f"stop what uses it, and restore {path} from a backup")


def _ok(check: str, seen: str) -> Finding:
    return Finding(check=f"database: {check}", health=Health.OK, seen=seen)


def _fail(check: str, seen: str, advice: str) -> Finding:
    return Finding(check=f"database: {check}", health=Health.FAIL, seen=seen, advice=advice, last=True)
