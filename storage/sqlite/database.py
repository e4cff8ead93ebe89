"""One SQLite file as every adapter opens it: URL, pragmas and the translation of errors."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from panopticon.credentials import masked
from panopticon.errors import Damaged, PanopticonError, Unavailable, UsageError
from storage.sqlite.schema import check_owner, migrate, schema_damage, schema_versions
from storage.sqlite.transaction import transaction

SCHEME = "sqlite:///"
OLDEST_SQLITE = (3, 37)
"""The first version with STRICT tables; RETURNING is older."""

FULL_BYTES = 64 * 2**10
"""A disk with less room is full for SQLite, which extends its files by up to 32 KiB at a time."""

_WAL_TRIES = 100

_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = OFF",
    "PRAGMA temp_store = MEMORY",
)

_OUTAGES = {
    sqlite3.SQLITE_BUSY: "locked by another process",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_PERM: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk has an I/O error",
    sqlite3.SQLITE_PROTOCOL: "locked by another process",
    sqlite3.SQLITE_NOMEM: "out of memory",
}

_DAMAGES = {
    sqlite3.SQLITE_CORRUPT: "its structure is malformed",
    sqlite3.SQLITE_IOERR_SHORT_READ: "the file was cut off",
    sqlite3.SQLITE_IOERR_CORRUPTFS: "the file system says that it is corrupt",
    sqlite3.SQLITE_FORMAT: "its format is unknown",
    # A value of another type than its column's, which no statement writes.
    sqlite3.SQLITE_MISMATCH: "a value has the wrong type",
}

READ_ONLY = "you may only read it"
_UNDECODABLE = "Could not decode to UTF-8"


class SqliteDatabase:
    """One connection to one file, opened at first use. Only the thread that first uses it may use it.

    Any number of objects, threads and processes may have the same file open.
    """

    def __init__(
        self, url: str, *, part: str, busy_timeout_s: float = 30.0, cache_bytes: int = 2 * 2**20
    ) -> None:
        """Open nothing yet. Raises: UsageError for a URL of another form.

        `url`: `sqlite:///relative.db` or `sqlite:////absolute.db`. `part`: the part that an `Unavailable`
        names: store, queue or search.
        """
        self.path = path_of(url)
        self._part = part
        self._busy_timeout_s = busy_timeout_s
        self._cache_bytes = cache_bytes
        self._connection: sqlite3.Connection | None = None
        self._read_only = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for statements that change nothing; each of them sees one state of the file.

        A file that may not be written can be read. Raises: UsageError (see `_open`), Damaged, Unavailable.
        """
        if self._connection is None:
            self._connection = self._open()
        with self._translated():
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction: on disk when the block ends, undone if the block raises.

        Raises: UsageError (see `_open`; also if the file may only be read), Damaged, Unavailable.
        """
        with self.reading() as connection:
            if self._read_only:
                raise _unwritable(self.path, READ_ONLY)
            with transaction(connection):
                yield connection

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """Yield a read-only connection to the file, which is neither created nor migrated.

        Raises: UsageError for a file of another program or of a newer schema, Damaged, Unavailable.
        """
        with self._translated(opening=True):
            uri = _read_only_uri(self.path)
            with closing(sqlite3.connect(uri, uri=True, timeout=self._busy_timeout_s)) as connection:
                check_owner(connection, self.path)
                yield connection

    def refuse_standstill(self, after: Any, last: Any) -> None:
        """Raise Damaged unless the last key of a page is after the page before, as in a sound index.

        Otherwise the pages would never end.
        """
        if not last > after:
            raise Damaged(str(self.path), "rows are not in the order of their index")

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        """Open the file, only for reading if it may not be written.

        Raises: UsageError if its path can never be used, Damaged, Unavailable if it may be used later.
        """
        self._read_only = _may_only_be_read(self.path)
        if not self._read_only:
            _create_folder(self.path)
            _create_private(self.path)
        with self._translated(opening=True):
            connection = self._connect()
        try:
            with self._translated(opening=True):
                _check_version_of_sqlite()
                if self._read_only:
                    _check_readable(connection, self.path)
                else:
                    _prepare(connection, self.path)
                connection.execute(f"PRAGMA cache_size = -{self._cache_bytes // 1024:d}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            _read_only_uri(self.path) if self._read_only else self.path,
            uri=self._read_only,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            cached_statements=256,
        )

    @contextmanager
    def _translated(self, *, opening: bool = False) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            translated = self._translation(error, opening=opening)
            if translated is None:
                raise
            raise translated from (error if isinstance(translated, Unavailable) else None)
        # Python raises it in place of an error of SQLite that quotes damaged bytes.
        except UnicodeDecodeError:
            raise Damaged(str(self.path), "a text in it is not UTF-8") from None

    def _translation(self, error: sqlite3.DatabaseError, *, opening: bool) -> PanopticonError | None:
        """Return what the error means for a person or a worker; None for a bug in a statement."""
        extended = getattr(error, "sqlite_errorcode", 0)
        code = extended & 0xFF
        # Python's own error about a text has no code.
        if str(error).startswith(_UNDECODABLE):
            return Damaged(str(self.path), "a text in it is not UTF-8")
        if code == sqlite3.SQLITE_NOTADB:
            reason = "this file is not an SQLite database, or its head was overwritten"
            return Damaged(str(self.path), reason, way_out="restore a copy of it, or name another file")
        if damage := _DAMAGES.get(extended, _DAMAGES.get(code)):
            return Damaged(str(self.path), damage)
        if opening and code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return _unwritable(self.path, str(error))
        # SQLite does not tell a full disk from a broken one where it maps a file into memory.
        if code == sqlite3.SQLITE_IOERR and _has_full_disk(self.path):
            code = sqlite3.SQLITE_FULL
        if code in _OUTAGES:
            return Unavailable(self._part, f"{self.path}: {_OUTAGES[code]}")
        # The statements are right, so the tables that they name must be there.
        if code == sqlite3.SQLITE_ERROR and self._connection and (lost := schema_damage(self._connection)):
            return Damaged(str(self.path), lost)
        return None


def path_of(url: str) -> Path:
    """Return the file of a URL. Raises: UsageError unless it begins with `sqlite:///` and names a file."""
    if not url.startswith(SCHEME) or not url.removeprefix(SCHEME):
        raise UsageError(
            f"database {masked(url)!r}: write sqlite:///relative/path.db or sqlite:////absolute/path.db"
        )
    path = Path(url.removeprefix(SCHEME))
    if path.name.startswith(":memory:"):
        raise UsageError(
            f"database {url!r}: a database in memory belongs to one process, and panopticon has several;"
            " name a file, such as sqlite:////dev/shm/panopticon.db"
        )
    return path


def _has_full_disk(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < FULL_BYTES
    except OSError:
        return False


def refuse_read_only(*urls: str) -> None:
    """Raise UsageError if one of the URLs names an SQLite file that may only be read. It opens nothing."""
    for url in urls:
        if url.startswith(SCHEME) and _may_only_be_read(path := path_of(url)):
            raise _unwritable(path, READ_ONLY)


def _may_only_be_read(path: Path) -> bool:
    # SQLite creates files next to the database, so that its folder must be writable too.
    return path.is_file() and not all(os.access(place, os.W_OK) for place in (path, path.parent))


def _read_only_uri(path: Path) -> str:
    """Return the URI that opens a file for reading, with the files of a process that has it open."""
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro"
    wal = path.with_name(f"{path.name}-wal")
    # Without the log of a writer, SQLite could not open the file in a folder where it cannot create one.
    alone = not wal.exists() and not os.access(path.parent, os.W_OK)
    return f"{uri}&immutable=1" if alone else uri


def _create_folder(path: Path) -> None:
    if path.is_dir():
        raise UsageError(
            f"database {path}: this is a folder; name a file in it, such as {path / 'panopticon.db'}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _unwritable(path, "no permission to write")


def _create_private(path: Path) -> None:
    """Create a file that is not there yet so that only its owner reads it; SQLite's own files take its mode.

    Labels and paths of photos are private. A file that is there keeps its mode.
    """
    with suppress(FileExistsError):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise
        except OSError as error:
            raise _unwritable(path, error.strerror or str(error)) from None


def _check_version_of_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise UsageError(
            f"SQLite {sqlite3.sqlite_version} is too old: Python must be built with 3.37 or newer"
        )


def _check_readable(connection: sqlite3.Connection, path: Path) -> None:
    """Raise UsageError unless a file that may only be read has the schema of this release."""
    check_owner(connection, path)
    found, known = schema_versions(connection)
    if found != known:
        raise _unwritable(path, f"its schema has version {found}, and its next use migrates it to {known}")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection, "BEGIN"):
        check_owner(connection, path)
    _switch_to_wal(connection)
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    found, known = schema_versions(connection)
    if found != known:
        migrate(connection, path)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # Unlike a transaction, the switch does not wait for other processes: so wait in one, and try again.
    for _ in range(_WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        with transaction(connection, "BEGIN EXCLUSIVE"):
            pass
    connection.execute("PRAGMA journal_mode = WAL")


def _unwritable(path: Path, why: str) -> UsageError:
    return UsageError(f"database {path}: cannot be written ({why}); name a file in a place you may write to")
