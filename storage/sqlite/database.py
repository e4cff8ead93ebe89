"""One SQLite file as every adapter opens it: URL, pragmas, migrations and the translation of errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from panopticon.credentials import masked
from panopticon.errors import Unavailable, UsageError

SCHEME = "sqlite:///"
APPLICATION_ID = 0x50616E6F
OLDEST_SQLITE = (3, 37)
"""The first version with STRICT tables; RETURNING is older."""

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
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not a database any more",
    sqlite3.SQLITE_PROTOCOL: "locked by another process",
    sqlite3.SQLITE_NOMEM: "out of memory",
}


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

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for statements that change nothing; each of them sees one state of the file.

        Raises: UsageError (see `_open`), Unavailable.
        """
        if self._connection is None:
            self._connection = self._open()
        with self._translated():
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction: on disk when the block ends, undone if the block raises.

        Raises: UsageError (see `_open`), Unavailable.
        """
        with self.reading() as connection, _transaction(connection):
            yield connection

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """Yield a read-only connection to the file, which is neither created nor migrated.

        Raises: UsageError for a file of another program or of a newer schema, Unavailable.
        """
        with self._translated(opening=True):
            uri = f"file:{quote(str(self.path.absolute()))}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=self._busy_timeout_s)) as connection:
                _check_owner(connection, self.path)
                yield connection

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        """Open the file. Raises: UsageError if its path can never be used, Unavailable if it may be later."""
        _create_folder(self.path)
        _create_private(self.path)
        with self._translated(opening=True):
            connection = sqlite3.connect(
                self.path, timeout=self._busy_timeout_s, isolation_level=None, cached_statements=256
            )
        try:
            with self._translated(opening=True):
                _prepare(connection, self.path, cache_bytes=self._cache_bytes)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _translated(self, *, opening: bool = False) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if opening and code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise UsageError(
                    f"database {self.path}: this file is not an SQLite database; name another file"
                ) from None
            if opening and code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
                raise _unwritable(self.path, str(error)) from None
            if code not in _OUTAGES:
                raise
            raise Unavailable(self._part, f"{self.path}: {_OUTAGES[code]}") from error


def path_of(url: str) -> Path:
    """Return the file of a URL. Raises: UsageError unless it begins with `sqlite:///` and names a file."""
    if not url.startswith(SCHEME) or not url.removeprefix(SCHEME):
        raise UsageError(
            f"database {masked(url)!r}: write sqlite:///relative/path.db or sqlite:////absolute/path.db"
        )
    return Path(url.removeprefix(SCHEME))


def schema_versions(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the schema version of the file, and the one that its next use migrates it to."""
    return _version(connection), len(_migrations())


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After a full disk or an I/O error, SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


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


def _prepare(connection: sqlite3.Connection, path: Path, *, cache_bytes: int) -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise UsageError(
            f"SQLite {sqlite3.sqlite_version} is too old: Python must be built with 3.37 or newer"
        )
    with _transaction(connection, "BEGIN"):
        _check_owner(connection, path)
    _switch_to_wal(connection)
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    connection.execute(f"PRAGMA cache_size = -{cache_bytes // 1024:d}")
    if _version(connection) != len(_migrations()):
        _migrate(connection, path)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # Unlike a transaction, the switch does not wait for other processes: so wait in one, and try again.
    for _ in range(_WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        with _transaction(connection, "BEGIN EXCLUSIVE"):
            pass
    connection.execute("PRAGMA journal_mode = WAL")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply missing migrations. A process that comes second finds them applied."""
    scripts = _migrations()
    with _transaction(connection):
        _check_owner(connection, path)
        for number, script in enumerate(scripts[_version(connection) :], _version(connection) + 1):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number:d}")


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    known, found = len(_migrations()), _version(connection)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id != APPLICATION_ID and (tables or application_id):
        raise UsageError(f"database {path}: this file belongs to another program; name another file")
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


def _unwritable(path: Path, why: str) -> UsageError:
    return UsageError(f"database {path}: cannot be written ({why}); name a file in a place you may write to")
