"""Count the functions and the classes on the way of one image to its row, by indexing one.

A worker of the null model is started on a temporary SQLite database, with the tracer of `tools/call_trace` in
it and in its model process. Once it is ready and has been idle for some seconds, one small JPEG is submitted.

Counted are, from just before the submission until `AFTER_S` after the row of the output is visible:

- functions: distinct functions and methods of the packages panopticon, storage and workers that were entered
  in the consumer's process and in the model process. Generated functions (of dataclasses), lambdas and
  comprehensions are not counted. Those of them that were not entered while idle are shown as well: the
  others belong to the loops that run in any case.
- classes: distinct project classes of which an instance was made in that time and none while idle, seen by
  `__init__`, by a named tuple's constructor or by pydantic's validation. They are the forms that the image,
  its message and its result take. Arrays, bytes, dicts and tuples are forms too, and are not counted.

The image's way begins in the submitting process and ends in the indexer; neither is traced.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

TRACER = Path(__file__).parent / "call_trace"
CARD = """
name = "colour"
version = 1
task = "scoring"
summary = "Mean colour"
changes = "The first version."
input = { width_px = 8, height_px = 8 }
output = { dtype = "float32", names = ["red", "green", "blue"] }
engines = { allowed = ["null"] }
"""
IDLE_S = 5.0
AFTER_S = 1.0
WAIT_S = 120.0
MODEL_PROCESS = re.compile(r"-m workers\.model_process")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTrace:
    """Names that one process wrote. Each is (kind, name), where kind is `function` or `class`."""

    process: str
    """`consumer` or `model process`."""
    idle: frozenset[tuple[str, str]]
    """Names from the time before the image was submitted."""
    way: frozenset[tuple[str, str]]
    """Names from the time in which the image went its way."""

    def entered(self) -> list[str]:
        """Return the functions entered on the image's way, those of the idle loops included."""
        return sorted(name for kind, name in self.way if kind == "function")

    def only_with_image(self, kind: str) -> list[str]:
        """Return the names of that kind from the image's way that the idle process did not write."""
        return sorted(name for each, name in self.way - self.idle if each == kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The functions and classes on the way of one image to its row."""

    processes: tuple[ProcessTrace, ...]

    def as_json(self) -> dict[str, object]:
        """Return every name, by process."""
        return {
            trace.process: {
                "functions": trace.entered(),
                "functions_only_with_image": trace.only_with_image("function"),
                "classes": trace.only_with_image("class"),
            }
            for trace in self.processes
        }

    def text(self) -> str:
        """Return the counts, one line for each process and one for both together, then the classes' names."""
        together = {each for trace in self.processes for each in trace.only_with_image("class")}
        lines = [_line(trace.process, (trace,)) for trace in self.processes]
        return "\n".join(
            [*lines, _line("together", self.processes), *(f"  {each}" for each in sorted(together))]
        )


def _line(name: str, traces: Sequence[ProcessTrace]) -> str:
    entered = {each for trace in traces for each in trace.entered()}
    own = {each for trace in traces for each in trace.only_with_image("function")}
    classes = {each for trace in traces for each in trace.only_with_image("class")}
    return (
        f"{name:<14} {len(entered):>4} functions entered, {len(own):>4} of them not while idle, "
        f"{len(classes):>3} classes"
    )


def trace_image(root: Path) -> Way:
    """Index one image with the code of the checkout `root`. Raises: TimeoutError if no row appears."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        environ = _prepare(folder)
        command = [sys.executable, "-m", "workers.cli.main"]
        traced = environ | {"PYTHONPATH": os.pathsep.join([str(TRACER), str(root.resolve())])}
        with _running([*command, "worker", "--model", "colour@1"], root, traced, folder / "worker.log"):
            _wait_until((folder / "ready").exists, "the worker is ready")
            ready_s = time.time()
            time.sleep(IDLE_S)
            submitted_s = time.time()
            submit = [*command, "submit", str(folder / "photos")]
            subprocess.run(submit, cwd=root, env=environ, check=True, capture_output=True)
            _wait_until(lambda: _outputs(folder / "panopticon.db") == 1, "the image has its row")
            time.sleep(AFTER_S)
            ended_s = time.time()
        files = sorted((folder / "traces").glob("*.trace"))
        times_s = (ready_s, submitted_s, ended_s)
        return Way(processes=tuple(read_trace(file, times_s) for file in files))


def _prepare(folder: Path) -> dict[str, str]:
    """Write the card and the photo, and return the environment that has settings for this folder only."""
    for name in ("traces", "photos", "cards/colour"):
        (folder / name).mkdir(parents=True)
    (folder / "cards/colour/card.toml").write_text(CARD, "utf-8")
    Image.new("RGB", (64, 48), (200, 100, 50)).save(folder / "photos/one.jpg")
    settings = {
        "DATABASE": f"sqlite:///{folder / 'panopticon.db'}",
        "MODELS_DIR": str(folder / "cards"),
        "CACHE_DIR": str(folder / "cache"),
        "READY_FILE": str(folder / "ready"),
        "REGISTRY_EVERY_S": "1",
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PANOPTICON_")}
    own = {f"PANOPTICON_{key}": value for key, value in settings.items()}
    return {**inherited, **own, "TRACE_FOLDER": str(folder / "traces"), "PYTHONPATH": ""}


@contextmanager
def _running(command: list[str], root: Path, environ: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=root, env=environ, stdout=output, stderr=output)
    try:
        yield
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {log.read_text('utf-8')[-2000:]}") from None
    finally:
        process.terminate()
        process.wait()


def _wait_until(holds: Callable[[], bool], condition: str) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{WAIT_S:g} s were too few until {condition}")
        time.sleep(0.02)


def _outputs(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM outputs").fetchone()
    return int(rows)


def read_trace(file: Path, times_s: tuple[float, float, float]) -> ProcessTrace:
    """Split the events of one process into those while idle and those on the image's way."""
    ready_s, submitted_s, ended_s = times_s
    command, *lines = file.read_text("utf-8").splitlines()
    idle: set[tuple[str, str]] = set()
    way: set[tuple[str, str]] = set()
    for line in lines:
        at, kind, name = line.split(" ", 2)
        if ready_s <= float(at) < submitted_s:
            idle.add((kind, name))
        elif submitted_s <= float(at) <= ended_s:
            way.add((kind, name))
    process = "model process" if MODEL_PROCESS.search(command) else "consumer"
    return ProcessTrace(process=process, idle=frozenset(idle), way=frozenset(way))
