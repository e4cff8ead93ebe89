"""Finding damage in an SQLite file: in its structure, in its schema, and in the contents of its rows."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from panopticon.registry.records import decode_entry as decode_model
from panopticon.results.backfills import decode_backfill
from panopticon.results.documents import decode_document
from panopticon.results.folder_entries import decode_entry
from panopticon.results.outputs import OutputKey, decode_payload
from storage.sqlite.checksums import checksum
from storage.sqlite.schema import schema_damage

_STEPS = 50_000
"""Steps of SQLite between two looks at the clock."""
_ROWS = 1000
"""The same in rows: to check them takes no steps of SQLite."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Rows whose bytes no index repeats, so that SQLite cannot notice a change in them."""

    table: str
    columns: str
    """The columns of the checksum, in its order."""
    decode: Callable[[Row], object] | None = None
    """The codec of the row, for rows of a release without checksums."""
    has_checksum: bool = True


CONTENTS = (
    Content(
        table="registry", columns="model, serial, entry", decode=lambda row: decode_model(row[2].encode())
    ),
    Content(
        table="backfills",
        columns="name, serial, entry",
        decode=lambda row: decode_backfill(row[2].encode()),
    ),
    Content(table="catalogue", columns="image_id, revision, image_uri, event, occurred_at_ms, located_at_ms"),
    Content(
        table="failures",
        columns="image_id, model, version, revision, reason, detail, attempts, last_at_ms, day, message,"
        " retry_at_ms",
    ),
    Content(
        table="folder_list",
        columns="root, path, image_id, seen_at_ms, payload",
        decode=lambda row: decode_entry(row[:3], row[4]),
    ),
    Content(table="messages", columns="queue, body"),
    Content(
        table="archive", columns="sha256, body", decode=lambda row: _same_digest(*row), has_checksum=False
    ),
    Content(table="bodies", columns="document, body", decode=lambda row: decode_document(row[1])),
    Content(
        table="outputs",
        columns="image_id, model, version, revision, produced_at_ms, payload",
        decode=lambda row: decode_payload(_key_of(row), row[5]),
    ),
)


def find_damage(connection: sqlite3.Connection, *, limit_s: float) -> str | None:
    """Return the first damage found, empty if there is none, or None if `limit_s` did not suffice to see.

    The cost grows with the size of the file: all of it is read once or twice.
    """
    until_s = time.monotonic() + limit_s
    # SQLite ends a statement as soon as this returns something true.
    connection.set_progress_handler(lambda: time.monotonic() > until_s, _STEPS)
    try:
        return next(filter(None, _damages(connection, until_s)), "")
    except sqlite3.DatabaseError as error:
        return None if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT else str(error)
    except UnicodeDecodeError as error:
        return str(error)
    except TimeoutError:
        return None
    finally:
        connection.set_progress_handler(None, _STEPS)


def _damages(connection: sqlite3.Connection, until_s: float) -> Iterator[str]:
    yield schema_damage(connection)
    (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    yield "" if result == "ok" else result.splitlines()[-1]
    for content in CONTENTS:
        yield from _changed(connection, content, until_s)


def _changed(connection: sqlite3.Connection, content: Content, until_s: float) -> Iterator[str]:
    """Yield a text for each row that is not as it was written."""
    last = "checksum" if content.has_checksum else "NULL"
    rows = connection.execute(f"SELECT {content.columns}, {last} FROM {content.table}")  # noqa: S608
    for number, (*row, crc) in enumerate(rows):
        if number % _ROWS == 0 and time.monotonic() > until_s:
            raise TimeoutError
        if not _is_whole(content, tuple(row), crc):
            yield f"a row of {content.table} is not as it was written: {row[0]!r:.80}"


def _is_whole(content: Content, row: Row, crc: int | None) -> bool:
    if crc is not None:
        return checksum(row) == crc
    if content.decode is None:
        return True
    try:
        content.decode(row)
    # Damaged bytes may look like anything, so that any error of a codec shows damage.
    except Exception:
        return False
    return True


def _key_of(row: Row) -> OutputKey:
    image_id, model, version, revision, *_ = row
    return OutputKey(image_id=image_id, model=model, version=version, revision=revision)


def _same_digest(sha256: str, body: bytes) -> None:
    if hashlib.sha256(body).hexdigest() != sha256:
        raise ValueError(sha256)
