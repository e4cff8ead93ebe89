"""Real Cassandra nodes on loopback, run from the jars of Maven Central."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tests.servers.java import find_java
from tests.servers.ports import free_ports
from tests.servers.process import ServerProcess
from tests.servers.requirements import require

FOLDER = Path(__file__).with_name("cassandra")
MAIN = "org.apache.cassandra.service.CassandraDaemon"
JAVA_NEEDED = "Cassandra needs Java 17; on Debian and Ubuntu: apt install openjdk-17-jre-headless"

ASK_FOR_OPTIONS = bytes.fromhex("040000000500000000")
SUPPORTED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """Settings of a node that encrypts connections, and whose user and password are `cassandra`."""

    keystore: Path
    """A file in the format PKCS #12."""
    keystore_password: str


class CassandraNode(ServerProcess):
    """One node, alone or of a cluster."""

    def __init__(
        self,
        home: Path,
        *,
        host: str = "127.0.0.1",
        ports: Sequence[int] | None = None,
        seed: str = "127.0.0.1",
        security: Security | None = None,
    ) -> None:
        """`ports`: for clients, and between nodes."""
        super().__init__(home)
        self.host = host
        self.port, self._storage_port = ports or free_ports(2, hosts=[host])
        self._seed = seed
        self._security = security

    @property
    def url(self) -> str:
        """The URL without a keyspace."""
        return f"cassandra://{self.host}:{self.port}"

    def _launch(self) -> subprocess.Popen[bytes]:
        java = find_java(oldest=11, newest=17)
        require(java, JAVA_NEEDED)
        self._write_settings()
        return self._spawn(self._command(str(java)), os.environ)

    def _write_settings(self) -> None:
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        (self.home / "cassandra.yaml").write_text(json.dumps(self._settings()))

    def _settings(self) -> dict[str, object]:
        """Return cassandra.yaml as JSON, which is YAML too. The rest keeps Cassandra's defaults, such as
        request timeouts."""
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

    def _answers(self) -> bool:
        """Return whether it answers the first message of its protocol; an encrypted node, whether its port is
        open, which it is once clients are served."""
        try:
            with socket.create_connection((self.host, self.port), 2) as client:
                if self._security is not None:
                    return True
                client.sendall(ASK_FOR_OPTIONS)
                answer = client.recv(9)
        except OSError:
            return False
        return len(answer) > 4 and answer[4] == SUPPORTED


class CassandraCluster:
    """The nodes of one cluster, on 127.0.0.1, 127.0.0.2 and so on."""

    def __init__(self, home: Path, *, size: int) -> None:
        hosts = [f"127.0.0.{number}" for number in range(1, size + 1)]
        ports = free_ports(2, hosts=hosts)
        self.nodes = [CassandraNode(home / host, host=host, ports=ports) for host in hosts]

    @property
    def url(self) -> str:
        """The URL without a keyspace."""
        return f"cassandra://{','.join(node.host for node in self.nodes)}:{self.nodes[0].port}"

    def start(self) -> None:
        """Start one node after the other, since they can only join the cluster in turn."""
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.kill()


def class_path() -> str:
    """Return the paths of the jars, separated by colons. Maven fetches those that are absent."""
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
    """Return a self-signed certificate for 127.0.0.1, and the file by which clients trust it."""
    java = find_java(oldest=11, newest=17)
    require(java, JAVA_NEEDED)
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
