"""A real OpenSearch node on loopback, unpacked from the archive of Maven Central."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from tests.servers.java import find_java
from tests.servers.ports import free_ports
from tests.servers.process import ServerProcess
from tests.servers.requirements import require

POM = Path(__file__).with_name("opensearch") / "pom.xml"
NOBODY = "nobody"

JAVA_NEEDED = "OpenSearch needs Java 21 or newer; on Debian and Ubuntu: apt install openjdk-21-jre-headless"
MAVEN_NEEDED = "OpenSearch needs Maven; on Debian and Ubuntu: apt install maven"


class OpenSearchNode(ServerProcess):
    """One node of a cluster of its own."""

    def __init__(self, *, heap: str = "320m", settings: Mapping[str, object] | None = None) -> None:
        """`settings`: of opensearch.yml, on top of ours."""
        # Not in pytest's folder, which the user who runs the node could not enter.
        super().__init__(Path(tempfile.gettempdir(), f"opensearch-{secrets.token_hex(4)}"))
        self._port, self._transport_port = free_ports(2)
        self._heap = heap
        self._settings = settings or {}

    @property
    def url(self) -> str:
        """The URL without an index."""
        return f"opensearch://127.0.0.1:{self._port}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def remove(self) -> None:
        """Kill it, and delete its data."""
        self.kill()
        if self.home.exists():
            shutil.rmtree(self.home)

    def _launch(self) -> subprocess.Popen[bytes]:
        java = find_java(oldest=21, newest=99)
        require(java, JAVA_NEEDED)
        server, owner = unpacked(), _unprivileged()
        if not self.home.exists():
            self._make_home(server)
        return self._spawn(
            [server / "bin" / "opensearch"],
            _environ(self.home, Path(os.path.realpath(str(java))).parents[1]),
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )

    def _make_home(self, server: Path) -> None:
        for folder in ("conf", "data", "logs", "tmp"):
            (self.home / folder).mkdir(parents=True)
        shutil.copy(server / "config" / "log4j2.properties", self.home / "conf")
        (self.home / "conf" / "jvm.options").write_text(_jvm_options(server, self._heap))
        (self.home / "conf" / "opensearch.yml").write_text(json.dumps(self._node_settings()))
        if owner := _unprivileged():
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def _node_settings(self) -> dict[str, object]:
        """Return opensearch.yml as JSON, which is YAML too."""
        return {
            "cluster.name": "tests",
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "http.port": self._port,
            "transport.port": self._transport_port,
            "path.data": str(self.home / "data"),
            "path.logs": str(self.home / "logs"),
            "node.processors": 2,
            # So that the tests run on a machine with a nearly full disk too.
            "cluster.routing.allocation.disk.threshold_enabled": False,
            **self._settings,
        }

    def _answers(self) -> bool:
        """Return whether its health is yellow or better: every index has its primary shards."""
        health = f"{self.http_url}/_cluster/health?wait_for_status=yellow&timeout=1s"
        try:
            with urllib.request.urlopen(health, timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def unpacked() -> Path:
    """Return the folder of the program, fetched and unpacked if it is absent. A node never writes there."""
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
    """Return a folder that the user who runs the node can read, unlike root's own cache."""
    if _unprivileged():
        return Path("/var/cache/panopticon-tests")
    return Path(platformdirs.user_cache_dir("panopticon-tests"))


def _unprivileged() -> pwd.struct_passwd | None:
    """Return the user for the node if we are root, as whom OpenSearch refuses to run; else None."""
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
    """Return the shipped options without those of heap, collector, and files in the program's folder."""
    unwanted = ("-Xms", "-Xmx", "logs/", "HeapDump", "UseG1GC", "G1", "InitiatingHeapOccupancy")
    shipped = (server / "config" / "jvm.options").read_text("utf-8").splitlines()
    kept = [
        line for line in shipped if not line.startswith("#") and not any(word in line for word in unwanted)
    ]
    small = [f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return "\n".join([*small, *filter(None, kept)]) + "\n"
