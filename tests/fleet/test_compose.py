"""The services of docker-compose.yml: only here do their command lines run, on three real servers.

The files themselves are checked in tests/deploy/test_compose.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from panopticon.models import find_card, parse_version
from panopticon.settings import Settings
from tests.deploy.compose import FOLDER, Service, services
from tests.fleet.photos import cropped_photos
from tests.fleet.trial import wait_for
from tests.servers.guardian import guarded, start_guarded
from tests.servers.ports import free_ports
from workers.worker.run import prepare_model

OURS = {
    service.name: service for service in services() if service.ours and service.name != "worker-tagger-gpu"
}
LONG_RUNNING = [name for name in OURS if name != "panopticon"]
METRICS_PORT = "9100"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """This machine in place of the containers: the same commands, with other addresses, folders and ports."""

    folder: Path
    settings: Settings
    ports: dict[str, int]

    @contextmanager
    def running(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = start_guarded(self._command(OURS[name]), environ=self._environ(name), stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def tool(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run what `docker compose run --rm -T panopticon WORDS` does."""
        command = self._command(OURS["panopticon"], words)
        environ = guarded(self._environ("panopticon"))
        return subprocess.run(command, env=environ, input=stdin, capture_output=True, text=True, check=False)

    def ready(self, name: str) -> bool:
        return self._ready_file(name).exists()

    def _command(self, service: Service, words: Sequence[str] = ()) -> list[str]:
        given = service.arguments
        if words:
            given = [*given[: -len(service.spec["command"])], *words]
        there = {dict(service.mounts)["./deploy/compose/panopticon.toml"]: str(FOLDER / "panopticon.toml")}
        if service.name in self.ports:
            there[METRICS_PORT] = str(self.ports[service.name])
        return [sys.executable, "-m", "workers.cli.main", *(there.get(word, word) for word in given)]

    def _environ(self, name: str) -> dict[str, str]:
        here = {
            "BROKER": self.settings.broker,
            "STORE": self.settings.store,
            "SEARCH": self.settings.search,
            "ORIGINALS": f"file://{self.folder}/{{image_id}}.jpg",
            "FILE_ROOTS": str(self.folder),
            "CACHE_DIR": str(self.settings.cache_dir),
            "READY_FILE": str(self._ready_file(name)),
        }
        return {
            **os.environ,
            **OURS[name].environment,
            **{f"PANOPTICON_{key}": at for key, at in here.items()},
        }

    def _ready_file(self, name: str) -> Path:
        return self.folder / f"{name}.ready"


@pytest.fixture
def host(tmp_path: Path, on_three_servers: Settings, cache_dir: Path) -> Host:
    settings = on_three_servers.model_copy(update={"models_dir": None, "cache_dir": cache_dir})
    for model in ("tagger@1", "quality@1"):
        prepare_model(find_card(parse_version(model)), settings)
    ports = dict(zip(LONG_RUNNING, free_ports(len(LONG_RUNNING)), strict=True))
    return Host(folder=tmp_path, settings=settings, ports=ports)


def test_the_services_become_ready_find_a_cat_and_stop_with_exit_code_0(host: Host) -> None:
    cropped_photos(host.folder, crops=1)
    with ExitStack() as stack:
        processes = {name: stack.enter_context(host.running(name)) for name in LONG_RUNNING}
        wait_for(lambda: all(map(host.ready, LONG_RUNNING)))
        assert host.tool("submit", "-", stdin='{"image_id": "chelsea-0"}\n').returncode == 0
        wait_for(lambda: '"chelsea-0"' in host.tool("search", "cat", "--json").stdout)
        diagnosis = host.tool(*OURS["panopticon"].spec["command"], "--json")
        assert diagnosis.returncode == 0, diagnosis.stdout
        assert json.loads(diagnosis.stdout)
        for name in LONG_RUNNING:
            with urlopen(f"http://127.0.0.1:{host.ports[name]}/metrics") as answer:
                assert b"panopticon_" in answer.read()
            processes[name].terminate()
        assert {process.wait(40) for process in processes.values()} == {0}
    assert not any(map(host.ready, LONG_RUNNING))
