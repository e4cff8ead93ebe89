from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINES = ("keras", "tensorflow", "ai_edge_litert")
DECODERS = ("PIL", "pi_heif", "rawpy")
DRIVERS = ("pika", "cassandra", "opensearchpy", "boto3")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_run_one_way_only() -> None:
    ran = python("from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "module", ["panopticon.interfaces", "storage.stores", "storage.search", "workers.queues"]
)
def test_an_import_brings_in_no_engine_and_no_driver(module: str) -> None:
    ran = python(f"import sys, {module}; print(sorted({{*{ENGINES + DRIVERS}}} & sys.modules.keys()))")
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


def test_the_commands_bring_in_no_decoder() -> None:
    modules = "workers.cli.main, workers.cli.submit, workers.cli.dead.commands, workers.comparison.thumbnails"
    ran = python(f"import sys, {modules}; print(sorted({{*{DECODERS}}} & sys.modules.keys()))")
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")
