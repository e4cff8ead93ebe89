"""A real OpenSearch node on loopback, unpacked from the archive of Maven Central."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from tests.servers.cassandra import free_ports
from tests.servers.java import find_java
from tests.servers.pausing import stop_still
from tests.servers.requirements import require

POM = Path(__file__).with_name("opensearch") / "pom.xml"
START_S = 180.0
STOP_S = 30.0
NOBODY = "nobody"

JAVA_NEEDED = "OpenSearch needs Java 21 or newer; on Debian and Ubuntu: apt install openjdk-21-jre-headless"
MAVEN_NEEDED = "OpenSearch needs Maven; on Debian and Ubuntu: apt install maven"


class OpenSearchNode:
    """One node of a cluster of its own. What it stored outlives a stop, and a kill."""

    def __init__(self, *, heap: str = "320m", settings: Mapping[str, object] | None = None) -> None:
        """`settings`: of opensearch.yml, on top of ours."""
        self._heap = heap
        self._settings = settings or {}
        self._home: Path | None = None
        self._port = self._transport_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without an index."""
        return f"opensearch://127.0.0.1:{self._port}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when the node serves clients."""
        java = find_java(oldest=21, newest=99)
        require(java, JAVA_NEEDED)
        server, owner = unpacked(), _unprivileged()
        home = self._home = self._home or self._new_home(server)
        with (home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [server / "bin" / "opensearch"],
                cwd=home,
                env=_environ(home, Path(os.path.realpath(str(java))).parents[1]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=owner.pw_uid if owner else None,
                group=owner.pw_gid if owner else None,
                extra_groups=[] if owner else None,
            )
        self._await_answer(self._process)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It holds its connections and says nothing, as a machine does that swaps or is cut off."""
        if self._process is not None:
            stop_still(self._process)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def discard(self) -> None:
        """Kill it, and remove all that it stored."""
        self.kill()
        if self._home is not None:
            shutil.rmtree(self._home)
            self._home = None

    def _new_home(self, server: Path) -> Path:
        """Not below pytest's folder, which another user could not pass."""
        home = Path(tempfile.mkdtemp(prefix="opensearch-"))
        home.chmod(0o755)
        self._port, self._transport_port = free_ports(["127.0.0.1"])
        for folder in ("conf", "data", "logs", "tmp"):
            (home / folder).mkdir()
        shutil.copy(server / "config" / "log4j2.properties", home / "conf")
        (home / "conf" / "jvm.options").write_text(_jvm_options(server, self._heap))
        (home / "conf" / "opensearch.yml").write_text(json.dumps(self._node_settings(home)))
        if owner := _unprivileged():
            for path in (home, *home.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        return home

    def _node_settings(self, home: Path) -> dict[str, object]:
        """JSON is YAML."""
        return {
            "cluster.name": "tests",
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "http.port": self._port,
            "transport.port": self._transport_port,
            "path.data": str(home / "data"),
            "path.logs": str(home / "logs"),
            "node.processors": 2,
            # A machine whose disk is nearly full runs the tests all the same.
            "cluster.routing.allocation.disk.threshold_enabled": False,
            **self._settings,
        }

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        until_s = time.monotonic() + START_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > until_s:
                self.kill()
                raise RuntimeError(f"the node did not start; its last words:\n{self._last_words()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        """Yellow: the primary of every index is there."""
        health = f"{self.http_url}/_cluster/health?wait_for_status=yellow&timeout=1s"
        try:
            with urllib.request.urlopen(health, timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _last_words(self) -> str:
        lines = (self._home / "log").read_text(errors="replace").splitlines() if self._home else []
        return "\n".join(line[:300] for line in lines[-20:])

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def unpacked() -> Path:
    """The server's own folder, fetched and unpacked if it is absent; nothing is ever written there."""
    folder = _cache() / f"opensearch-{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _unpack(folder)
    return next(folder.glob("opensearch-*"))


def _unpack(folder: Path) -> None:
    maven = shutil.which("mvn")
    require(maven, MAVEN_NEEDED)
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = [str(maven), "-B", "-q", "-f", str(POM), "dependency:unpack", f"-Dfolder={part}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"Maven could not fetch OpenSearch:\n{ran.stdout}{ran.stderr}")
    part.chmod(0o755)
    part.rename(folder)


def _cache() -> Path:
    """Root's own cache is closed to the user that runs the node."""
    if _unprivileged():
        return Path("/var/cache/panopticon-tests")
    return Path(platformdirs.user_cache_dir("panopticon-tests"))


def _unprivileged() -> pwd.struct_passwd | None:
    """Who runs the node where we are root, since OpenSearch refuses to run as root; else None."""
    return pwd.getpwnam(NOBODY) if os.getuid() == 0 else None


def _environ(home: Path, java_home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "OPENSEARCH_JAVA_HOME": str(java_home),
        "OPENSEARCH_PATH_CONF": str(home / "conf"),
        "OPENSEARCH_TMPDIR": str(home / "tmp"),
    }


def _jvm_options(server: Path, heap: str) -> str:
    """The shipped options but for size, collector, and what would be written beside the server."""
    unwanted = ("-Xms", "-Xmx", "logs/", "HeapDump", "UseG1GC", "G1", "InitiatingHeapOccupancy")
    shipped = (server / "config" / "jvm.options").read_text("utf-8").splitlines()
    kept = [
        line for line in shipped if not line.startswith("#") and not any(word in line for word in unwanted)
    ]
    small = [f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return "\n".join([*small, *filter(None, kept)]) + "\n"
