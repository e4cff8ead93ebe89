"""A damaged database: `doctor` finds it, and no command shows a traceback."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from panopticon.messages import ImageMessage
from panopticon.settings import Settings
from tests.contracts.examples import QUALITY, TAGGER
from tests.end_to_end.command import MODELS
from tests.house import house_of
from tests.workers.cli.conftest import Panopticon, Ran

SEEDS = range(20)
IMAGES = 60
SECTOR_BYTES = 512
PAGE_BYTES = 4096
READING = (
    "status --json",
    "show photo-7",
    "show photo-8 --json",
    "search",
    "search tench --any",
    "audit --all",
    "dead list",
    "ids list",
    "models list",
    "policy history tagger@1",
    "backfill list",
)
WRITING = (
    "index .",
    "submit list.csv",
    "worker --model tagger@1",
    "indexer",
    "erase --ids - --yes",
    "search rebuild --all",
    "dead replay --all",
    "models add tagger@1",
    "models activate tagger@1",
    "policy apply tagger@1 policy.toml",
    "backfill --model tagger@1 --all",
    "ids add --ids list.txt",
)
LINE = "panopticon: database {path}: damaged ("

Damage = Callable[[bytearray, random.Random], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a database with outputs, failures, documents and messages."""
    path = tmp_path_factory.mktemp("sound") / "house.db"
    with house_of(Settings(database=f"sqlite:///{path}")) as house:
        house.register()
        labels, scores = house.version(TAGGER).labels, random.Random(0)
        for number in range(IMAGES):
            tags = {label: scores.random() for label in scores.sample(labels, 20)}
            house.plant(f"photo-{number}", outputs={TAGGER: tags, QUALITY: {"sharpness": 0.5}})
        house.plant("refused", failures=[TAGGER], document=False)
        house.submit(*(ImageMessage(image_id=f"new-{n}", image_uri=f"file:///{n}.jpg") for n in range(20)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # Without what was deleted: nobody misses bytes that are not in use.
    return change(path.parent, path.read_bytes(), "VACUUM")


@pytest.fixture
def run(panopticon: Panopticon, tmp_path: Path) -> Callable[..., Ran]:
    """Run a command on these bytes as its database."""
    (tmp_path / "list.csv").write_text("image_id,image_uri\na,file:///a.jpg\n")
    (tmp_path / "list.txt").write_text("photo-3\n")
    (tmp_path / "policy.toml").write_text("[tags]\n")

    def run(content: bytes, words: str) -> Ran:
        for left in tmp_path.glob("damaged.db*"):
            left.unlink()
        path = tmp_path / "damaged.db"
        path.write_bytes(content)
        options = ("--database", f"sqlite:///{path}", "--set", "settle_s=0.01")
        return panopticon(*options, *words.split(), stdin=b"photo-3\n")

    return run


def damaged(sound: bytes, damage: Damage, seed: int) -> bytes:
    content = bytearray(sound)
    damage(content, random.Random(seed))
    return bytes(content)


def flip_bytes(content: bytearray, chance: random.Random) -> None:
    """Change 64 bytes, anywhere."""
    for place in chance.sample(range(len(content)), 64):
        content[place] ^= chance.randrange(1, 256)


def overwrite_a_sector(content: bytearray, chance: random.Random) -> None:
    """Fill one sector that is not empty with other bytes."""
    sectors = range(0, len(content), SECTOR_BYTES)
    start = chance.choice([each for each in sectors if any(content[each : each + SECTOR_BYTES])])
    content[start : start + SECTOR_BYTES] = chance.randbytes(SECTOR_BYTES)


def is_known(ran: Ran) -> bool:
    """Return whether a command ended as documented: done, or with the one line about the damage."""
    if ran.code == 2:
        *_, line = ran.err.splitlines()
        return line.startswith("panopticon: ") and "Traceback" not in ran.err
    return ran.code in (0, 1) and "Traceback" not in ran.err


@pytest.mark.parametrize("damage", [flip_bytes, overwrite_a_sector])
@pytest.mark.parametrize("seed", SEEDS)
def test_doctor_finds_changed_bytes_and_no_command_shows_a_traceback(
    run: Callable[..., Ran], sound: bytes, damage: Damage, seed: int
) -> None:
    content = damaged(sound, damage, seed)
    ran = run(content, "doctor --json")
    assert ran.code == 1, ran
    assert [line["check"] for line in ran.json["checks"] if line["health"] == "fail"] == [
        "database: integrity"
    ]
    assert [ran for words in READING if not is_known(ran := run(content, words))] == []


def test_doctor_finds_nothing_in_a_sound_database(run: Callable[..., Ran], sound: bytes) -> None:
    health = {line["check"]: line["health"] for line in run(sound, "doctor --json").json["checks"]}
    assert health["database: integrity"] == "ok"


@pytest.mark.parametrize("words", [*READING, *WRITING, "models diff tagger@1 tagger@2"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda sound: sound[: len(sound) // 2], id="cut off"),
        pytest.param(lambda sound: bytes(PAGE_BYTES) + sound[PAGE_BYTES:], id="zeros at its start"),
        pytest.param(lambda sound: b"no database at all\n" * 1000, id="not a database"),
    ],
)
def test_every_command_reports_a_damaged_database_in_one_line(
    run: Callable[..., Ran], tmp_path: Path, sound: bytes, content: Callable[[bytes], bytes], words: str
) -> None:
    ran = run(content(sound), words)
    assert (ran.code, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    assert line.startswith(LINE.format(path=tmp_path / "damaged.db"))
    assert "; restore a copy of it" in line
    assert line.endswith("; panopticon doctor examines it")


def test_content_that_breaks_a_command_is_reported_as_damage(
    run: Callable[..., Ran], tmp_path: Path, sound: bytes
) -> None:
    """SQLite itself notices nothing: the row is whole, and says something else."""
    broken = change(tmp_path, sound, "UPDATE registry SET entry = '[1]' WHERE model = 'tagger'")
    ran = run(broken, "models list")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "damaged (a row of registry is not as it was written: 'tagger')" in ran.err


@pytest.mark.parametrize("column", ["sql", "name"])
def test_a_definition_that_is_not_text_any_more_is_damage(
    run: Callable[..., Ran], tmp_path: Path, sound: bytes, column: str
) -> None:
    """One changed bit in the header of a record makes bytes of a text."""
    broken = change(
        tmp_path,
        sound,
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_schema SET {column} = CAST({column} AS BLOB) WHERE name = 'messages_ready'",
    )
    ran = run(broken, "doctor --json")
    assert (ran.code, "Traceback" in ran.err) == (1, False)
    assert is_known(run(broken, "status --json"))


def test_a_bug_is_loud_where_the_database_is_sound(
    run: Callable[..., Ran], sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.cli.models.view.all_versions", None, raising=False)
    with pytest.raises(TypeError):
        run(sound, "models list")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outputs SET payload = zeroblob(length(payload)) WHERE image_id = 'photo-7'",
        "UPDATE catalogue SET image_uri = 'file:///other.jpg' WHERE image_id = 'photo-7'",
        "UPDATE failures SET detail = 'other'",
        "UPDATE bodies SET body = CAST('{}' AS BLOB) WHERE document = 3",
        "UPDATE messages SET body = x'00' WHERE number = 1",
        "UPDATE registry SET entry = replace(entry, 'tagging', 'scoring')",
        "UPDATE archive SET body = x'00'",
    ],
)
def test_doctor_finds_content_that_sqlite_cannot_check(
    run: Callable[..., Ran], tmp_path: Path, sound: bytes, statement: str
) -> None:
    checks = {
        line["check"]: line
        for line in run(change(tmp_path, sound, statement), "doctor --json").json["checks"]
    }
    table = statement.split()[1]
    assert checks["database: integrity"]["seen"].startswith(f"a row of {table} is not as it was written")


@pytest.mark.parametrize(
    ("table", "column"), [("outputs", "payload"), ("bodies", "body"), ("registry", "entry")]
)
def test_doctor_decodes_rows_of_a_release_without_checksums(
    run: Callable[..., Ran], tmp_path: Path, sound: bytes, table: str, column: str
) -> None:
    old = change(tmp_path, sound, f"UPDATE {table} SET checksum = NULL")
    assert run(old, "doctor --json").json["ok"]
    cut = change(tmp_path, old, f"UPDATE {table} SET {column} = substr({column}, 1, 9)")
    checks = {line["check"]: line for line in run(cut, "doctor --json").json["checks"]}
    assert checks["database: integrity"]["seen"].startswith(f"a row of {table} is not as it was written")


def test_index_reports_what_ended_its_worker_in_one_line(
    run: Callable[..., Ran], tmp_path: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue of the model has a message that cannot be read, which only the worker meets."""
    monkeypatch.setenv("PANOPTICON_MODELS_DIR", str(MODELS))
    monkeypatch.setenv("PANOPTICON_MODELS", "null@1")
    monkeypatch.setenv("PANOPTICON_CACHE_DIR", str(tmp_path / "cache"))
    broken = change(
        tmp_path,
        sound,
        "DROP INDEX messages_ready",
        "INSERT INTO bindings VALUES ('null', 1)",
        "INSERT INTO messages (queue, body) VALUES ('panopticon.null.1.live', x'7b7d')",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'holder TEXT', 'helper TEXT') WHERE name = 'messages'",
    )
    ran = run(broken, "index .")
    assert ran.code == 2, ran
    assert [line for line in ran.err.splitlines() if "damaged (" in line] == ran.err.splitlines()[-1:]
    assert "Traceback" not in ran.err


def change(folder: Path, content: bytes, *statements: str) -> bytes:
    path = folder / "changed.db"
    path.write_bytes(content)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        # A disk that changes bytes runs no trigger.
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, sql in triggers:
            connection.execute(sql)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()
