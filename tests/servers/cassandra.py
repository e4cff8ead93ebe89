"""Real Cassandra nodes on loopback, run from the jars of Maven Central."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tests.servers.java import find_java
from tests.servers.pausing import stop_still
from tests.servers.requirements import require

FOLDER = Path(__file__).with_name("cassandra")
MAIN = "org.apache.cassandra.service.CassandraDaemon"
START_S = 180.0
STOP_S = 30.0
PORTS = range(20_000, 32_000)
"""Below those that Linux gives to clients, so that nobody takes the port of a node that is down."""

ASK_FOR_OPTIONS = bytes.fromhex("040000000500000000")
SUPPORTED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """Passwords are asked for (cassandra, cassandra), and connections are encrypted."""

    keystore: Path
    """PKCS #12."""
    keystore_password: str


class CassandraNode:
    """One node. What it stored outlives a stop, and a kill."""

    def __init__(
        self,
        home: Path,
        *,
        host: str = "127.0.0.1",
        ports: tuple[int, int] | None = None,
        seed: str = "127.0.0.1",
        security: Security | None = None,
    ) -> None:
        """`home`: an absolute path, of this node alone. `ports`: for clients, and between nodes."""
        self.home = home
        self.host = host
        self.port, self._storage_port = ports or free_ports([host])
        self._seed = seed
        self._security = security
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a keyspace."""
        return f"cassandra://{self.host}:{self.port}"

    def start(self) -> None:
        """Returns when the node answers clients."""
        java = find_java(oldest=11, newest=17)
        require(java, "Cassandra needs Java 17; on Debian and Ubuntu: apt install openjdk-17-jre-headless")
        self._write_settings()
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(str(java)), cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._await_answer(self._process)

    def stop(self) -> None:
        """Drained first, as by an operator."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It holds its connections and says nothing, as a machine does that swaps or is cut off."""
        if self._process is not None:
            stop_still(self._process)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _write_settings(self) -> None:
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        (self.home / "cassandra.yaml").write_text(json.dumps(self._settings()))

    def _settings(self) -> dict[str, object]:
        """JSON is YAML. What is absent keeps Cassandra's default, request timeouts among them."""
        seeds = {"class_name": "org.apache.cassandra.locator.SimpleSeedProvider"}
        return {
            "cluster_name": "tests",
            "num_tokens": 1,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "endpoint_snitch": "SimpleSnitch",
            "storage_compatibility_mode": "NONE",
            "listen_address": self.host,
            "rpc_address": self.host,
            "storage_port": self._storage_port,
            "native_transport_port": self.port,
            "seed_provider": [{**seeds, "parameters": [{"seeds": self._seed}]}],
            # An acknowledged write is on disk, so that a kill may lose none.
            "commitlog_sync": "batch",
            "commitlog_total_space": "128MiB",
            "disk_failure_policy": "stop",
            "auto_snapshot": False,
            "memtable_heap_space": "64MiB",
            "memtable_offheap_space": "32MiB",
            "file_cache_size": "32MiB",
            "networking_cache_size": "16MiB",
            "concurrent_reads": 8,
            "concurrent_writes": 8,
            "native_transport_max_threads": 32,
            **self._secured(),
        }

    def _secured(self) -> dict[str, object]:
        if self._security is None:
            return {}
        return {
            "authenticator": "PasswordAuthenticator",
            "authorizer": "CassandraAuthorizer",
            "client_encryption_options": {
                "enabled": True,
                "optional": False,
                "keystore": str(self._security.keystore),
                "keystore_password": self._security.keystore_password,
                "store_type": "PKCS12",
            },
        }

    def _command(self, java: str) -> list[str]:
        jars = class_path()
        agent = next(jar for jar in jars.split(":") if Path(jar).name.startswith("jamm-"))
        return [
            java,
            f"@{FOLDER / 'jvm.options'}",
            "-Xmx512m",
            f"-javaagent:{agent}",
            f"-Dlogback.configurationFile={FOLDER / 'logback.xml'}",
            f"-Dcassandra.config={(self.home / 'cassandra.yaml').as_uri()}",
            f"-Dcassandra.storagedir={self.home / 'data'}",
            f"-Dcassandra.logdir={self.home}",
            f"-Djava.io.tmpdir={self.home / 'tmp'}",
            f"-Djna.tmpdir={self.home / 'tmp'}",
            "-cp",
            jars,
            MAIN,
        ]

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        until_s = time.monotonic() + START_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > until_s:
                self.kill()
                raise RuntimeError(f"the node did not start; its last words:\n{self._last_words()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Encrypted, the port itself has to do: it opens when clients are served."""
        try:
            with socket.create_connection((self.host, self.port), 2) as client:
                if self._security is not None:
                    return True
                client.sendall(ASK_FOR_OPTIONS)
                answer = client.recv(9)
        except OSError:
            return False
        return len(answer) > 4 and answer[4] == SUPPORTED

    def _last_words(self) -> str:
        lines = (self.home / "log").read_text(errors="replace").splitlines()
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


class CassandraCluster:
    """Nodes of one cluster on 127.0.0.1, 127.0.0.2 …"""

    def __init__(self, home: Path, *, size: int) -> None:
        hosts = [f"127.0.0.{number}" for number in range(1, size + 1)]
        ports = free_ports(hosts)
        self.nodes = [CassandraNode(home / host, host=host, ports=ports) for host in hosts]

    @property
    def url(self) -> str:
        """Without a keyspace."""
        return f"cassandra://{','.join(node.host for node in self.nodes)}:{self.nodes[0].port}"

    def start(self) -> None:
        """One after the other, since they join one after the other."""
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.kill()


def free_ports(hosts: Sequence[str]) -> tuple[int, int]:
    """Two ports that are free on all of these addresses."""
    free = (port for port in random.sample(PORTS, len(PORTS)) if all(_is_free(host, port) for host in hosts))
    return next(free), next(free)


def class_path() -> str:
    """The jars in the Maven repository, fetched if they are absent, with colons in between."""
    pom = FOLDER / "pom.xml"
    folder = Path(platformdirs.user_cache_dir("panopticon-tests"))
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"cassandra-{hashlib.sha256(pom.read_bytes()).hexdigest()[:16]}.classpath"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists() or not all(map(os.path.exists, kept.read_text().split(":"))):
            _resolve(pom, kept)
    return kept.read_text()


def make_security(folder: Path) -> tuple[Security, Path]:
    """A certificate for 127.0.0.1 that signs itself, and the file by which clients trust it."""
    java = find_java(oldest=11, newest=17)
    require(java, "Cassandra needs Java 17; on Debian and Ubuntu: apt install openjdk-17-jre-headless")
    keytool = Path(os.path.realpath(str(java))).with_name("keytool")
    security = Security(keystore=folder / "node.p12", keystore_password="for-tests-only")
    store = [
        *("-keystore", str(security.keystore), "-storepass", security.keystore_password),
        *("-alias", "node"),
    ]
    made = ["-keyalg", "RSA", "-storetype", "PKCS12", "-validity", "7", "-dname", "CN=127.0.0.1"]
    _run([keytool, "-genkeypair", *store, *made, "-ext", "san=ip:127.0.0.1"])
    _run([keytool, "-exportcert", "-rfc", *store, "-file", folder / "node.pem"])
    return security, folder / "node.pem"


def _resolve(pom: Path, kept: Path) -> None:
    maven = shutil.which("mvn")
    require(maven, "Cassandra needs Maven; on Debian and Ubuntu: apt install maven")
    part = kept.with_suffix(".part")
    _run([str(maven), "-B", "-q", "-f", pom, "dependency:build-classpath", f"-Dmdep.outputFile={part}"])
    part.rename(kept)


def _run(command: Sequence[str | Path]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{ran.stdout}{ran.stderr}")


def _is_free(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True
