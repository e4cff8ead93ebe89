"""A database that may only be read can be searched, shown and audited; what would change it is refused."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from panopticon.settings import Settings
from storage.search.sqlite import SqliteSearchIndex
from tests.contracts.examples import QUALITY, TAGGER
from tests.house import house_of

ROOT = Path(__file__).parents[3]
READING = (
    "search tabby",
    "show photo",
    "status",
    "audit --all",
    "ids list",
    "dead list",
    "dead show refused",
    "models list",
    "policy show tagger@1",
    "backfill list",
    "doctor",
)
WRITING = (
    "submit list.csv",
    "worker --model tagger@1",
    "indexer",
    "index empty",
    "dead discard refused --yes",
    "erase --ids list.txt --yes",
    "search rebuild --all",
    "models deactivate tagger",
)
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


@pytest.fixture(params=["file", "folder"])
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder with a database whose file or folder may not be written."""
    folder = tmp_path / "archive"
    folder.mkdir()
    with house_of(Settings(database=f"sqlite:///{folder / 'house.db'}")) as house:
        house.register()
        house.plant("photo", outputs={TAGGER: {"tabby": 0.75}, QUALITY: {"sharpness": 0.5}})
        house.plant("refused", failures=[TAGGER], document=False)
        assert isinstance(house.real.search, SqliteSearchIndex)
        # Its connection would keep the log of writers.
        house.real.search.close()
    (tmp_path / "list.csv").write_text("image_id,image_uri\na,file:///a.jpg\n")
    (tmp_path / "list.txt").write_text("photo\n")
    (tmp_path / "empty").mkdir()
    with read_only(folder, request.param):
        yield tmp_path


@contextmanager
def read_only(folder: Path, what: str) -> Iterator[None]:
    if what == "file":
        (folder / "house.db").chmod(0o444)
    if what == "folder":
        folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


def obey_permissions() -> None:
    """Let the new process obey modes of files, as that of any other user than root does."""
    libc = ctypes.CDLL(None)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


CALL_EACH = """
import contextlib, io, json, sys
from workers.cli.main import main

answers = []
for command in sys.argv[1:]:
    sys.argv = ["panopticon", *command.split()]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    answers.append([command, code, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""


def run(home: Path, commands: Sequence[str]) -> list[tuple[str, int, str, str]]:
    """Run commands in one process; return each with its exit code and its two outputs."""
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PANOPTICON_DATABASE": f"sqlite:///{home / 'archive' / 'house.db'}",
        "PANOPTICON_CACHE_DIR": str(home / "cache"),
    }
    ran = subprocess.run(
        [sys.executable, "-c", CALL_EACH, *commands],
        stdout=subprocess.PIPE,
        cwd=home,
        env=environ,
        check=True,
        preexec_fn=obey_permissions,
    )
    return [tuple(answer) for answer in json.loads(ran.stdout)]


def test_it_can_be_searched_shown_and_audited(home: Path) -> None:
    answers = run(home, READING)
    assert [answer for answer in answers if answer[1] not in (0, 1)] == []
    assert "photo" in answers[0][2]


def test_what_would_change_it_is_refused_in_one_line(home: Path) -> None:
    refused = f"panopticon: database {home / 'archive' / 'house.db'}: cannot be written ("
    for command, code, out, err in run(home, WRITING):
        assert (code, out) == (2, ""), (command, out, err)
        assert err.splitlines()[-1].startswith(refused)
    assert not list((home / "cache").rglob("*.tflite")), "a model was converted first"


def test_a_current_folder_that_may_not_be_entered_is_one_line(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    ran = subprocess.run(
        [sys.executable, "-c", "from workers.cli.main import main; main()", "status"],
        stderr=subprocess.PIPE,
        cwd=closed,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        preexec_fn=obey_permissions,
    )
    assert ran.returncode == 2
    assert ran.stderr == (
        b"panopticon: the current folder: cannot look for panopticon.toml (Permission denied);"
        b" change to another one\n"
    )
