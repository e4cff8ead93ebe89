"""Run the program as a person does, and read its exit code and its two outputs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from panopticon.models import find_card, parse_version
from panopticon.settings import PREFIX, Settings
from storage.stores import open_store
from tests.house import house_of
from workers.queues import open_broker

MODELS = Path(__file__).parents[1] / "models"
NULL = parse_version("null@1")
WORKER = ("worker", "--model", str(NULL))
INDEXER = ("indexer",)
STATUS = ("status",)
SEARCH = ("search", "cat")

every_program = pytest.mark.parametrize("command", [WORKER, INDEXER, STATUS], ids=itemgetter(0))
every_program_of_search = pytest.mark.parametrize("command", [INDEXER, SEARCH], ids=itemgetter(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One database, and the folder in which the commands run."""

    folder: Path
    cache_dir: Path
    settings: tuple[str, ...] = ()
    importable: tuple[Path, ...] = ()
    """Folders with distributions that only this installation has."""

    @property
    def database(self) -> str:
        return f"sqlite:///{self.folder / 'panopticon.db'}"

    def panopticon(self, *arguments: str | bytes, stdin: bytes = b"") -> Done:
        options = ["--database", self.database, "--set", f"cache_dir={self.cache_dir}"]
        options += [word for setting in self.settings for word in ("--set", setting)]
        command: Sequence[str | bytes] = [sys.executable, "-m", "workers.cli.main", *options, *arguments]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        path = os.pathsep.join(map(str, (Path(__file__).parents[2], *self.importable)))
        env = {**kept, "PYTHONPATH": path, "COLUMNS": "200"}
        done = subprocess.run(
            command, input=stdin, capture_output=True, cwd=self.folder, env=env, check=False
        )
        return Done(exit_code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    def copied_to(self, folder: Path) -> Installation:
        """Copy its folder, and return the installation there: quicker than to index the photos again.

        URIs still name the files of this one.
        """
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def store(self) -> Any:
        return open_store(self.database)

    def broker(self) -> Any:
        return open_broker(self.database)


def is_one_clear_line(done: Done, *words: str) -> None:
    assert done.exit_code == 2, done.err
    assert done.out == ""
    (line,) = done.err.splitlines()
    for word in words:
        assert word in line


def is_refused_at_the_start(
    folder: Path, command: Sequence[str], words: Sequence[str], **settings: str
) -> None:
    """Assert that the command ends with one clear line without a password, though no message waits.

    A model is active, because a search without one would not get as far as the index.
    """
    given = tuple(f"{key}={value}" for key, value in {"models_dir": MODELS, **settings}.items())
    installation = Installation(folder=folder, cache_dir=folder / "cache", settings=given)
    with house_of(Settings(database=installation.database)) as house:
        house.register(find_card(NULL, MODELS))
    done = installation.panopticon(*command)
    is_one_clear_line(done, *words)
    logins = [(split.username, split.password) for split in map(urlsplit, settings.values())]
    assert not any(password in done.err for user, password in logins if password and password != user)
