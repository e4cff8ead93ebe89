"""A real S3 server on loopback: versitygw, over a folder."""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tests.servers.guardian import guarded
from tests.servers.ports import free_ports
from tests.servers.process import ServerProcess
from tests.servers.requirements import require

PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
RELEASE = "v1.8.0"
BUILD_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Site:
    """The URL of a server, and the keys of its owner."""

    url: str
    access_key: str = "panopticon-tests"
    secret_key: str = "for-tests-only"

    def as_environ(self) -> dict[str, str]:
        """Return the keys as the AWS tools read them."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


class S3Server(ServerProcess):
    """One server, over a folder of buckets."""

    START_S = 30.0

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        (self._port,) = free_ports(1)

    @property
    def site(self) -> S3Site:
        return S3Site(url=f"http://127.0.0.1:{self._port}")

    @property
    def url(self) -> str:
        return self.site.url

    def _launch(self) -> subprocess.Popen[bytes]:
        program, buckets = installed(), self.home / "buckets"
        buckets.mkdir(parents=True, exist_ok=True)
        keys = {"ROOT_ACCESS_KEY": self.site.access_key, "ROOT_SECRET_KEY": self.site.secret_key}
        return self._spawn(
            [program, "--port", f"127.0.0.1:{self._port}", "--quiet", "posix", buckets],
            {**os.environ, **keys},
        )

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status > 0
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def installed() -> Path:
    """Return the path of the program, which Go builds the first time."""
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
    # Built in another folder and then moved: a build that was interrupted is never taken for the program.
    part = folder / "part"
    command = [str(go), "install", f"{PACKAGE}@{RELEASE}"]
    ran = subprocess.run(
        command,
        env=guarded({**os.environ, "GOBIN": str(part)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_S,
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ran.stderr}")
    (part / "versitygw").rename(folder / "versitygw")
