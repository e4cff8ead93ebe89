"""A real S3 server on loopback: versitygw, over a folder."""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tests.servers.pausing import stop_still
from tests.servers.requirements import require

PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
RELEASE = "v1.8.0"
START_S = 30.0
BUILD_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Site:
    """Where a server is, and the keys of its owner."""

    url: str
    access_key: str = "panopticon-tests"
    secret_key: str = "for-tests-only"

    def as_environ(self) -> dict[str, str]:
        """As the AWS tools look for them."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


class S3Server:
    """One server. Its buckets outlive a stop, and a kill."""

    def __init__(self, home: Path) -> None:
        """`home`: an absolute path, of this server alone."""
        self._home = home
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def site(self) -> S3Site:
        return S3Site(url=f"http://127.0.0.1:{self._port}")

    @property
    def url(self) -> str:
        return self.site.url

    def start(self) -> None:
        """Returns when it answers."""
        program = installed()
        buckets = self._home / "buckets"
        buckets.mkdir(parents=True, exist_ok=True)
        keys = {"ROOT_ACCESS_KEY": self.site.access_key, "ROOT_SECRET_KEY": self.site.secret_key}
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "--port", f"127.0.0.1:{self._port}", "--quiet", "posix", buckets],
                env={**os.environ, **keys},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._await_answer(self._process)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It holds its connections and says nothing."""
        if self._process is not None:
            stop_still(self._process)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + START_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                said = (self._home / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the S3 server did not start; its last words:\n{said}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status > 0
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(10)
            self._process = None


def installed() -> Path:
    """The program, built by Go the first time and then kept."""
    folder = Path(platformdirs.user_cache_dir("panopticon-tests")) / f"versitygw-{RELEASE}"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "versitygw"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(folder)
    return program


def _build(folder: Path) -> None:
    go = shutil.which("go")
    require(go, "the S3 server is built with Go 1.25 or newer: https://go.dev/doc/install")
    # Built beside its place: what was broken off is never taken for the program.
    part = folder / "part"
    command = [str(go), "install", f"{PACKAGE}@{RELEASE}"]
    ran = subprocess.run(
        command,
        env={**os.environ, "GOBIN": str(part)},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_S,
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ran.stderr}")
    (part / "versitygw").rename(folder / "versitygw")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
