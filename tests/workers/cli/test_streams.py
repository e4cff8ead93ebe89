"""Standard streams that a shell connected to nothing, a full disk, a pipe that closes, or for ASCII only."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from panopticon.settings import Settings
from tests.contracts.examples import QUALITY, TAGGER
from tests.house import house_of
from workers.cli.main import main

ROOT = Path(__file__).parents[3]
PROGRAM = f"{shlex.quote(sys.executable)} -m workers.cli.main"
NAME = "Zoë…"
PRINTING = (
    "search",
    "search --json",
    "show Zoë…",
    "show Zoë… --json",
    "status",
    "status --json",
    "audit --all",
    "ids list",
    "dead list",
    "dead show refused",
    "models list",
    "models show tagger@1",
    "models history tagger",
    "policy show tagger@1",
    "policy history tagger@1",
    "backfill list --json",
    "submit empty",
    "index empty",
    "erase --ids list.txt --yes",
    "search rebuild --all",
    "dead discard refused --yes",
    "doctor",
    "settings",
    "settings --json",
    "--help",
    "--version",
)
"""Commands that print a result, each with arguments for the database of these tests."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and the lists that the commands name."""
    folder = tmp_path_factory.mktemp("home")
    with house_of(Settings(database=f"sqlite:///{folder / 'house.db'}")) as house:
        house.register()
        house.plant(NAME, outputs={TAGGER: {"tabby": 0.75}, QUALITY: {"sharpness": 0.5}})
        house.plant("refused", failures=[TAGGER], document=False)
    (folder / "list.txt").write_text("nobody\n")
    (folder / "empty").mkdir()
    return folder


def shell(home: Path, line: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which `panopticon` is the program."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PANOPTICON_DATABASE": f"sqlite:///{home / 'house.db'}",
        "PANOPTICON_SETTLE_S": "0.01",
        **environ,
    }
    script = f'set -o pipefail; panopticon() {{ {PROGRAM} "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", script], capture_output=True, cwd=home, env=env, check=False)


@pytest.fixture
def in_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, TextIO], tuple[object, str]]:
    """Run a command in this process with this standard output; return exit code and standard error."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("PANOPTICON_DATABASE", f"sqlite:///{home / 'house.db'}")
    monkeypatch.setenv("PANOPTICON_SETTLE_S", "0.01")

    def run(command: str, out: TextIO) -> tuple[object, str]:
        err = io.StringIO()
        monkeypatch.setattr(sys, "argv", ["panopticon", *command.split()])
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, err.getvalue()

    return run


@pytest.mark.parametrize("command", PRINTING)
def test_a_full_disk_under_standard_output_is_one_line(
    in_process: Callable[[str, TextIO], tuple[object, str]], command: str
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        code, err = in_process(command, full)
    assert err.splitlines()[-1] == "panopticon: standard output: No space left on device; send it elsewhere"
    assert code == 2


@pytest.mark.parametrize("command", PRINTING)
def test_a_terminal_for_ascii_only_gets_escapes(
    in_process: Callable[[str, TextIO], tuple[object, str]], tmp_path: Path, command: str
) -> None:
    with open(tmp_path / "out", "w", encoding="ascii") as terminal:
        code, _ = in_process(command, terminal)
    assert code in (0, 1)
    written = (tmp_path / "out").read_bytes()
    assert written
    if "--json" in command:
        json.loads(written.decode("ascii"))


@pytest.mark.parametrize("command", ["search", "models list --json", "ids list"])
def test_a_full_disk_is_noticed_at_the_end_of_the_process_too(home: Path, command: str) -> None:
    ran = shell(home, f"panopticon {command} > /dev/full")
    assert ran.returncode == 2
    assert ran.stderr == b"panopticon: standard output: No space left on device; send it elsewhere\n"


@pytest.mark.parametrize("command", ["search", "--help", "index empty"])
def test_a_closed_standard_output_is_one_line(home: Path, command: str) -> None:
    ran = shell(home, f"panopticon {command} >&-")
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith(b"panopticon: standard output: Bad file descriptor; ")
    assert b"Traceback" not in ran.stderr


def test_image_ids_and_policies_are_utf_8_on_every_terminal(home: Path) -> None:
    """They are read back as UTF-8."""
    ran = shell(home, "panopticon ids list", PYTHONIOENCODING="ascii")
    assert f"{NAME}\n".encode() in ran.stdout, ran


@pytest.mark.parametrize("streams", ["2>&-", "2> /dev/full", "2>&- <&-"])
def test_a_closed_or_full_standard_error_changes_no_exit_code(home: Path, streams: str) -> None:
    assert shell(home, f"panopticon show nobody {streams}").returncode == 2


def test_a_file_never_takes_the_place_of_a_closed_stream(home: Path) -> None:
    """A library that prints would write into the database otherwise."""
    shell(home, "panopticon ids list <&- >&- 2>&-")
    assert (home / "house.db").read_bytes().startswith(b"SQLite format 3\0")


@pytest.mark.parametrize("command", ["settings", "settings --json", "search --help"])
def test_a_reader_that_ends_first_ends_the_command_quietly(home: Path, command: str) -> None:
    ran = shell(home, f"(sleep 0.4; panopticon {command}) | true")
    assert (ran.returncode, ran.stderr) == (141, b"")


class TestWatchingStatus:
    """`status --watch` on something that is not a terminal."""

    def test_a_pipe_gets_reading_after_reading_and_no_control_codes(self, home: Path) -> None:
        ran = shell(home, "panopticon status --watch --every 0.1 | head -n 30")
        assert ran.stdout.count(b" UTC\nmodel") >= 2
        assert b"\x1b" not in ran.stdout

    def test_json_is_one_value_a_line(self, home: Path) -> None:
        ran = shell(home, "panopticon status --watch --json --every 0.1 | head -n 2")
        assert [json.loads(line)["models"][0]["model"] for line in ran.stdout.splitlines()] == ["quality"] * 2

    def test_it_ends_when_nobody_reads_any_more(self, home: Path) -> None:
        ran = shell(home, "panopticon status --watch --every 0.1 | head -n 1")
        assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("status", "click"),
        ("search", "rich.console"),
        ("index .", "panopticon.settings"),
        ("worker --model tagger@1", "workers.cli.session"),
        ("index .", "rich.progress"),
        ("models list", "numpy"),
    ],
)
def test_an_interrupt_while_modules_load_is_quiet(home: Path, command: str, module: str) -> None:
    """The interpreter reports each module that it has loaded."""
    words = [sys.executable, "-X", "importtime", "-m", "workers.cli.main", *command.split()]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PANOPTICON_DATABASE": f"sqlite:///{home / 'house.db'}"}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=home, env=env
    ) as started:
        assert started.stderr is not None
        for line in started.stderr:
            if line.split()[-1] == module.encode():
                break
        started.send_signal(signal.SIGINT)
        out, err = started.communicate()
    left = [line for line in err.splitlines() if line.strip() and not line.startswith(b"import time:")]
    assert (started.returncode, out, left) == (130, b"", [])
