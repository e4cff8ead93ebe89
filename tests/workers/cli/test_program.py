"""The program as the shell sees it: exit codes, streams, and no traceback for a person's mistake."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def run(tmp_path: Path, *arguments: str | bytes, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, "PANOPTICON_DATABASE": f"sqlite:///{tmp_path / 'house.db'}"}
    environ["PYTHONPATH"] = str(Path(__file__).parents[3])
    command = [sys.executable, "-m", "workers.cli.main", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, env=environ, cwd=tmp_path, check=False)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("submit", "missing"), b"panopticon: no such path: missing\n"),
        (("submit", b"\xff.jpg"), b"panopticon: no such path: \\xff.jpg\n"),
        (("--database", "sqlite:///.", "status"), b"panopticon: database .: this is a folder; "),
        (("--set", "nonsense", "status"), b"panopticon: --set takes KEY=VALUE, not 'nonsense'\n"),
        (("models", "foo"), b"panopticon: no such command 'foo' (panopticon models --help)\n"),
        (("models", "add"), b"panopticon: missing argument 'NAME@V' (panopticon models add --help)\n"),
        (
            ("policy", "show", "tagger@1", "--number", "0"),
            b"panopticon: invalid value for '--number': 0 is not in the range x>=1 (",
        ),
        (("search", b"--\x1b[31m"), b"panopticon: no such option '--\\x1b[31m' ("),
    ],
)
def test_a_mistake_is_one_line_on_standard_error(
    tmp_path: Path, arguments: tuple[str | bytes, ...], line: bytes
) -> None:
    ran = run(tmp_path, *arguments)
    assert (ran.returncode, ran.stdout, ran.stderr.count(b"\n")) == (2, b"", 1)
    assert ran.stderr.startswith(line)


@pytest.mark.parametrize("command", [("worker", "--model", "quality@1"), ("indexer",)])
def test_a_metrics_port_that_is_taken_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = run(tmp_path, *command, "--metrics-port", str(port))
    assert (ran.returncode, ran.stdout, ran.stderr.count(b"\n")) == (2, b"", 1)
    assert ran.stderr.startswith(
        f"panopticon: --metrics-port {port}: cannot listen on 127.0.0.1:{port}: ".encode()
    )


@pytest.mark.parametrize("command", [("worker",), ("worker", "--replicas=2"), ("index", ".")])
def test_a_mistake_in_the_settings_of_originals_is_one_line_and_starts_nothing(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """No model process can be started with such settings, however often it is tried."""
    ran = run(tmp_path, "--set", "s3_buckets=s3://photos", *command, "--model", "quality@1")
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr == (
        b"panopticon: setting 's3_buckets' names 's3://photos'; it must be a bucket, or bucket/folder\n"
    )


def test_a_reader_that_ends_first_is_not_a_finding(tmp_path: Path) -> None:
    """Exit code 1 would mean that a check found something wrong."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "workers.cli.main", "settings"]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    ran = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, env=environ, cwd=tmp_path, check=False
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, b"")


def test_a_database_of_a_newer_schema_is_one_line(tmp_path: Path) -> None:
    import sqlite3

    run(tmp_path, "status")
    connection = sqlite3.connect(tmp_path / "house.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    ran = run(tmp_path, "status")
    assert (ran.returncode, ran.stderr.count(b"\n")) == (2, 1)
    assert b"its schema has version 999" in ran.stderr


def test_a_file_with_a_name_that_is_not_utf_8_can_be_submitted(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")
    assert run(tmp_path, "submit", b"\xff.jpg").stdout.startswith(b"1 image accepted")
    again = run(tmp_path, "submit", "-", stdin=b"\xff.jpg\n")
    assert again.stdout.startswith(b"1 image accepted")


def test_a_reader_that_goes_away_leaves_no_traceback(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m workers.cli.main settings --json | head -c 1"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        cwd=tmp_path,
        check=False,
    )
    assert b"Traceback" not in ran.stderr


def test_help_names_every_command(tmp_path: Path) -> None:
    text = run(tmp_path, "--help").stdout.decode()
    commands = [line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line.strip()]
    assert " ".join(commands) == (
        "index submit classify worker indexer serve search show status audit backfill ids dead erase models "
        "policy tokens doctor settings"
    )
