"""Opening an SQLite file: the errors and the migrations of its schema."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from panopticon.errors import Damaged, Unavailable, UsageError
from storage.sqlite.database import SqliteDatabase, path_of

ADD = "INSERT INTO catalogue (image_id, revision, image_uri, event, occurred_at_ms) VALUES (?, 0, '', '', 0)"
KNOWN_VERSION = 9
ROOT = Path(__file__).parents[3]


def database(path: Path, *, busy_timeout_s: float = 5.0) -> SqliteDatabase:
    return SqliteDatabase(f"sqlite:///{path}", part="store", busy_timeout_s=busy_timeout_s)


def count(path: Path, table: str = "catalogue") -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "panopticon.db"


@pytest.fixture
def opened(path: Path) -> Iterator[SqliteDatabase]:
    """A database with one row in it."""
    with closing(database(path)) as opened:
        with opened.writing() as connection:
            connection.execute(ADD, ("first",))
        yield opened


def use(database: SqliteDatabase) -> None:
    with closing(database), database.writing() as connection:
        connection.execute(ADD, ("x",))


def test_three_slashes_name_a_relative_path_and_four_an_absolute_one() -> None:
    assert path_of("sqlite:///photos/a.db") == Path("photos/a.db")
    assert path_of("sqlite:////photos/a.db") == Path("/photos/a.db")


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite://a.db", "a.db", "postgres://user:secret@host/db"])
def test_another_url_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(UsageError, match="sqlite:///relative"):
        path_of(url)


def test_nothing_is_opened_before_the_first_use(path: Path) -> None:
    database(path)
    assert not path.exists()


def test_the_first_use_creates_the_folders_and_the_whole_schema(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "panopticon.db"
    use(database(path))
    assert pragma(path, "user_version") == KNOWN_VERSION
    assert pragma(path, "journal_mode") == "wal"


def test_commits_are_synced_to_disk(opened: SqliteDatabase) -> None:
    with opened.reading() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_closed_database_opens_again_at_its_next_use(opened: SqliteDatabase, path: Path) -> None:
    opened.close()
    with opened.writing() as connection:
        connection.execute(ADD, ("second",))
    assert count(path) == 2


def test_a_transaction_that_raises_changes_nothing(opened: SqliteDatabase, path: Path) -> None:
    with pytest.raises(sqlite3.IntegrityError), opened.writing() as connection:
        connection.executemany(ADD, [("second",), ("first",)])
    use(opened)
    assert count(path) == 2


def test_a_wrong_statement_is_a_bug_and_is_raised_as_it_is(opened: SqliteDatabase) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), opened.reading() as connection:
        connection.execute("SELECT * FROM nowhere")


def test_an_older_schema_is_migrated_and_keeps_its_rows(path: Path) -> None:
    script = (ROOT / "storage" / "sqlite" / "migrations" / "0001_store.sql").read_text()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        connection.execute(ADD, ("old",))
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    use(database(path))
    assert count(path) == 2
    assert count(path, "messages") == 0
    assert pragma(path, "user_version") == KNOWN_VERSION


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((ROOT / "storage" / "sqlite" / "migrations" / "0001_store.sql").read_text())
        connection.execute("PRAGMA user_version = 1")
        connection.execute("CREATE TABLE bindings (in_the_way)")
        connection.commit()
    with pytest.raises(Damaged, match="its schema is not that of its version 2: .* already exists"):
        use(database(path))
    assert pragma(path, "user_version") == 1
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        count(path, "documents")


def test_a_newer_schema_is_refused_with_both_versions(opened: SqliteDatabase, path: Path) -> None:
    opened.close()
    set_version(path, 99)
    with pytest.raises(UsageError, match=f"panopticon.db: .* version 99, .* knows {KNOWN_VERSION}; upgrade"):
        use(opened)
    assert count(path) == 1


def test_a_file_that_is_not_a_database_is_refused_and_not_changed(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"damaged \(this file is not an SQLite database, .* name another"):
        use(database(path))
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_refused_and_not_changed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="belongs to another program"):
        use(database(path))
    assert path.read_bytes() == before


def test_a_folder_is_refused_with_a_suggested_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is a folder; name a file in it"):
        use(database(tmp_path))


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match=r"x.db: cannot be written \(.*\); name a file"):
        use(database(tmp_path / "photo.jpg" / "x.db"))


def test_a_place_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        use(database(Path("/proc/panopticon.db")))


def test_a_lock_that_another_process_holds_too_long_is_an_outage(opened: SqliteDatabase, path: Path) -> None:
    impatient = database(path, busy_timeout_s=0.01)
    with opened.writing(), pytest.raises(Unavailable, match="locked by another process") as caught:
        use(impatient)
    assert caught.value.component == "store"
    assert str(path) in caught.value.reason


def test_readers_do_not_wait_for_a_writer(opened: SqliteDatabase, path: Path) -> None:
    with closing(database(path, busy_timeout_s=0.01)) as reader, opened.writing(), reader.reading() as read:
        rows = read.execute("SELECT image_id FROM catalogue").fetchall()
    assert rows == [("first",)]


def test_a_full_disk_is_an_outage_and_undoes_the_batch(opened: SqliteDatabase, path: Path) -> None:
    with opened.reading() as connection:
        connection.execute(f"PRAGMA max_page_count = {pragma(path, 'page_count')}")
    with pytest.raises(Unavailable, match="the disk is full"), opened.writing() as connection:
        connection.executemany(ADD, [(f"{number:0200}",) for number in range(500)])
    assert count(path) == 1


def test_work_goes_on_when_the_disk_has_room_again(opened: SqliteDatabase, path: Path) -> None:
    with opened.reading() as connection:
        connection.execute(f"PRAGMA max_page_count = {pragma(path, 'page_count')}")
    with pytest.raises(Unavailable), opened.writing() as connection:
        connection.executemany(ADD, [(f"{number:0200}",) for number in range(500)])
    with opened.reading() as connection:
        connection.execute("PRAGMA max_page_count = 100000")
    with opened.writing() as connection:
        connection.executemany(ADD, [(f"{number:0200}",) for number in range(500)])
    assert count(path) == 501


@pytest.mark.parametrize(
    ("free_bytes", "reason"), [(0, "the disk is full"), (2**30, "the disk has an I/O error")]
)
def test_an_io_error_on_a_full_disk_is_called_full(
    path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, reason: str
) -> None:
    """A limit on the size of files makes SQLite fail in the same place as a disk without room."""
    use(database(path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free_bytes))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(Unavailable, match=reason):
            use(database(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_became_read_only_is_an_outage(opened: SqliteDatabase) -> None:
    with opened.reading() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Unavailable, match="it cannot be written"), opened.writing() as connection:
        connection.execute(ADD, ("second",))


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="belongs to one process"):
        path_of("sqlite:///:memory:")


def test_a_head_that_says_another_program_is_damage_if_our_tables_are_there(
    opened: SqliteDatabase, path: Path
) -> None:
    opened.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 7")
    with pytest.raises(Damaged, match="its head was overwritten"):
        use(opened)


def test_a_schema_version_that_no_release_can_have_is_damage(opened: SqliteDatabase, path: Path) -> None:
    opened.close()
    set_version(path, 1_157_627_913)
    with pytest.raises(Damaged, match="its schema has version 1157627913"):
        use(opened)


def test_a_table_that_is_gone_is_damage(opened: SqliteDatabase, path: Path) -> None:
    opened.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE outputs")
    with pytest.raises(Damaged, match="its schema lacks 'outputs'"), opened.reading() as connection:
        connection.execute("SELECT * FROM outputs")


def test_pages_that_do_not_advance_are_damage(opened: SqliteDatabase) -> None:
    opened.refuse_standstill("a", "b")
    with pytest.raises(Damaged, match="not in the order"):
        opened.refuse_standstill("b", "b")


def test_a_file_that_is_damaged_while_it_is_open_ends_the_program(opened: SqliteDatabase, path: Path) -> None:
    with opened.writing() as connection:
        connection.executemany(ADD, [(f"{number:0200}",) for number in range(500)])
    opened.close()
    with opened.reading():
        path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(Damaged, match="damaged"), opened.reading() as connection:
        connection.execute("SELECT image_id FROM catalogue").fetchall()


OPEN_AND_WRITE = (
    f"ADD = {ADD!r}"
    + """
import sys
from storage.sqlite.database import SqliteDatabase

own_id, *paths = sys.argv[1:]
for path in paths:
    print("ready", flush=True)
    sys.stdin.readline()
    database = SqliteDatabase(f"sqlite:///{path}", part="store")
    with database.writing() as connection:
        connection.execute(ADD, (own_id,))
    database.close()
"""
)


def test_processes_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(10)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_WRITE, f"{number}", *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for number in range(6)
    ]
    for _ in paths:
        release_together(processes)
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 6
    assert [count(path) for path in paths] == [6] * 10


def release_together(processes: list[subprocess.Popen[str]]) -> None:
    """Each process waits until all are ready to open the same file."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def test_a_row_that_an_older_release_changes_has_no_checksum_any_more(
    opened: SqliteDatabase, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE catalogue SET checksum = 7")
        connection.execute("UPDATE catalogue SET image_uri = image_uri")
        (unchanged,) = connection.execute("SELECT checksum FROM catalogue").fetchone()
        connection.execute("UPDATE catalogue SET image_uri = 'file:///moved.jpg'")
        (changed,) = connection.execute("SELECT checksum FROM catalogue").fetchone()
    assert (unchanged, changed) == (7, None)
