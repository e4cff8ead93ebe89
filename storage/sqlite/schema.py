"""The schema of an SQLite file: its version, its migrations, and whether it is as they made it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from importlib import resources
from pathlib import Path

from panopticon.errors import Damaged, UsageError
from storage.sqlite.transaction import transaction

_APPLICATION_ID = 0x50616E6F
_PLAUSIBLE_VERSION = 10_000
"""No release will ever have so many migrations."""

_OWN_TABLES = """
SELECT count(*) FROM sqlite_schema
WHERE type = 'table' AND name IN ('outputs', 'failures', 'catalogue', 'registry', 'bodies', 'postings')
"""


def schema_versions(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the schema version of the file, and the one that its next use migrates it to."""
    return _version(connection), len(_migrations())


def schema_damage(connection: sqlite3.Connection) -> str:
    """Return what is wrong with the tables and indexes of a file of the present schema; empty if nothing is.

    What another program has added is not wrong.
    """
    try:
        if _version(connection) != len(_migrations()):
            return ""
        found = _schema_of(connection)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return f"its schema: {error}"
    wrong = [name for name, sql in _expected_schema().items() if found.get(name) != sql]
    return f"its schema lacks {wrong[0]!r} as it was created" if wrong else ""


@cache
def _expected_schema() -> Mapping[str, str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for script in _migrations():
            for statement in _statements(script):
                connection.execute(statement)
        return _schema_of(connection)


def _schema_of(connection: sqlite3.Connection) -> Mapping[str, str]:
    """Return the definition of each table and index without its comments, which differ between releases."""
    # In a damaged file they may be of any type.
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE typeof(name) = 'text' AND typeof(sql) = 'text'"
    )
    return {name: " ".join(re.sub("--.*", "", sql).split()) for name, sql in rows}


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply missing migrations. A process that comes second finds them applied."""
    scripts = _migrations()
    with transaction(connection):
        check_owner(connection, path)
        for number, script in enumerate(scripts[_version(connection) :], _version(connection) + 1):
            try:
                for statement in _statements(script):
                    connection.execute(statement)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                    raise
                # The scripts are right, so the file is not what its version says.
                raise Damaged(
                    str(path), f"its schema is not that of its version {number - 1}: {error}"
                ) from None
            connection.execute(f"PRAGMA user_version = {number:d}")


def check_owner(connection: sqlite3.Connection, path: Path) -> None:
    """Raise UsageError for a file of another program or a newer release, Damaged for an overwritten head."""
    known, found = len(_migrations()), _version(connection)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id != _APPLICATION_ID and (tables or application_id):
        if known_tables := connection.execute(_OWN_TABLES).fetchone()[0]:
            raise Damaged(str(path), f"its head was overwritten: it has {known_tables} of our tables")
        raise UsageError(f"database {path}: this file belongs to another program; name another file")
    if found > _PLAUSIBLE_VERSION:
        raise Damaged(str(path), f"its head was overwritten: its schema has version {found}")
    if found > known:
        raise UsageError(
            f"database {path}: its schema has version {found}, this program knows {known};"
            " upgrade panopticon or name another file"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrations() -> list[str]:
    """Return the scripts in order; the first one creates version 1."""
    folder = resources.files("storage.sqlite") / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return [file.read_text("utf-8") for file in files]


def _statements(script: str) -> Iterator[str]:
    # Statements are executed one by one, since `executescript` commits the transaction it is called in.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
