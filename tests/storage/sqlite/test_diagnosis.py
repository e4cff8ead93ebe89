"""The findings about an SQLite file, which the diagnosis does not change."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from panopticon.interfaces import Diagnosable, Finding, Health
from storage.search import open_search
from storage.stores import open_store
from workers.queues import open_broker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a file that has been used and closed."""
    path = tmp_path / "house.db"
    store = open_store(f"sqlite:///{path}")
    store.registry.models()
    store.close()
    return path


def diagnose(path: Path) -> list[Finding]:
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, Diagnosable)
    return store.diagnose()


def not_ok(path: Path) -> list[tuple[str, Health, bool]]:
    return [
        (finding.check, finding.health, finding.last)
        for finding in diagnose(path)
        if finding.health is not Health.OK
    ]


def test_a_sound_file_passes_every_check(path: Path) -> None:
    assert not_ok(path) == []
    assert [finding.check for finding in diagnose(path)] == [
        "database: file system",
        "database: disk",
        "database: file",
        "database: schema",
        "database: integrity",
    ]


def test_every_part_that_a_file_may_hold_is_diagnosable(path: Path) -> None:
    url = f"sqlite:///{path}"
    assert all(isinstance(part, Diagnosable) for part in (open_broker(url), open_search(url)))


def test_a_missing_file_is_a_warning_and_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "house.db"
    assert not_ok(path) == [("database: file", Health.WARN, True)]
    assert list(tmp_path.iterdir()) == []


def test_an_old_schema_is_reported_and_not_migrated(path: Path) -> None:
    change(path, "PRAGMA user_version = 1")
    (schema,) = [finding for finding in diagnose(path) if finding.check == "database: schema"]
    assert schema.seen.startswith("version 1; the next use migrates it to ")
    assert schema.last, "to ask more of it would migrate it"
    assert asked(path, "PRAGMA user_version") == 1


def test_a_newer_schema_fails(path: Path) -> None:
    change(path, "PRAGMA user_version = 999")
    assert not_ok(path) == [("database: schema", Health.FAIL, True)]


def test_a_file_of_another_program_fails(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    change(path, "CREATE TABLE theirs (x)")
    assert not_ok(path) == [("database: schema", Health.FAIL, True)]


def test_a_file_that_is_not_a_database_fails(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    assert not_ok(tmp_path / "x.db") == [("database: integrity", Health.FAIL, True)]


def test_a_file_with_a_damaged_table_fails(path: Path) -> None:
    change(
        path,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " INSERT INTO catalogue (image_id, revision, image_uri, event, occurred_at_ms)"
        " SELECT 'photo' || i, 0, 'file:///photos/' || i, 'uploaded', 0 FROM n",
    )
    page = asked(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'catalogue'") - 1
    size = asked(path, "PRAGMA page_size")
    content = bytearray(path.read_bytes())
    content[page * size : (page + 1) * size] = b"\xff" * size
    path.write_bytes(content)
    assert not_ok(path) == [("database: integrity", Health.FAIL, True)]


def test_a_folder_in_place_of_the_file_fails(tmp_path: Path) -> None:
    assert not_ok(tmp_path) == [("database: file", Health.FAIL, True)]


def test_every_failure_except_that_of_the_schema_has_advice(tmp_path: Path) -> None:
    """The text about the schema contains its own advice."""
    (finding,) = [finding for finding in diagnose(tmp_path) if finding.health is Health.FAIL]
    assert finding.advice


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def asked(path: Path, question: str) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute(question).fetchone()[0])
    finally:
        connection.close()
