"""A real RabbitMQ node on loopback, run by the scripts of the Debian package."""

from __future__ import annotations

import http.client
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from tests.servers.certificates import Certificate, make_certificate
from tests.servers.ports import free_ports, is_listening
from tests.servers.process import ServerProcess, wait_until
from tests.servers.rabbitmq_management import Management
from tests.servers.requirements import require

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""The scripts on the path insist on the user that the package made."""
COUNTED_S = 0.6
"""The interval of `ADVANCED`, and a little more."""

# Counts and timeouts are checked more often than a real fleet could afford. They are not checked more often
# still: a queue that counts while it is being created crashes, which then happens on a busy machine.
ADVANCED = """\
[{rabbit, [
  {quorum_tick_interval, 500},
  {channel_tick_interval, 500},
  {dead_letter_worker_publisher_confirm_timeout, 1000}
]}].
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The five ports of a node."""

    amqp: int
    amqps: int
    management: int
    distribution: int
    epmd: int


class RabbitNode(ServerProcess):
    """One node, with the user guest of password guest, and its name server epmd."""

    START_S = 90.0

    def __init__(self, home: Path, *, secure: bool = False) -> None:
        """`secure`: it takes TLS too, and client certificates that `authority` signed."""
        super().__init__(home)
        amqp, amqps, management, distribution, epmd = free_ports(5)
        self.ports = Ports(
            amqp=amqp, amqps=amqps, management=management, distribution=distribution, epmd=epmd
        )
        self._secure = secure
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the virtual host `/`."""
        return f"amqp://guest:guest@127.0.0.1:{self.ports.amqp}/?management={self.management.url}&counted_s={COUNTED_S}"

    @property
    def site(self) -> RabbitSite:
        return RabbitSite(url=self.url, counted_s=COUNTED_S)

    @property
    def secure_url(self) -> str:
        """The URL of the virtual host `/` over TLS."""
        return f"amqps://guest:guest@127.0.0.1:{self.ports.amqps}/?management={self.management.url}&counted_s={COUNTED_S}"

    @cached_property
    def authority(self) -> Certificate:
        """The certificate that signs the node's own."""
        return make_certificate(self.home, name="authority")

    @property
    def management(self) -> Management:
        return Management(f"http://guest:guest@127.0.0.1:{self.ports.management}")

    def await_queues(self) -> None:
        """Return when each queue that outlived a restart has counted its messages.

        A queue that is deleted before it has a leader ends the broker's dead-lettering, for all queues.
        """
        wait_until(self._have_counted, f"the queues of RabbitMQ, see {self.home}", limit_s=self.START_S)

    def _have_counted(self) -> bool:
        return all("messages" in row for row in self.management.get("/api/queues"))

    def remove(self) -> None:
        """Kill the node and its name server."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(self.STOP_S)
            self._epmd = None

    def save(self) -> None:
        """Write the list of queues to disk. Of a queue younger than half a second a kill would leave only its
        name."""
        self.evaluate("[dets:sync(Table) || Table <- dets:all()].")

    def ctl(self, *words: str) -> str:
        """Return the output of `rabbitmqctl`. Raises: RuntimeError if it fails."""
        ran = subprocess.run(
            [str(SCRIPTS / "rabbitmqctl"), "-n", "rabbit@localhost", "--quiet", *words],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"rabbitmqctl {words[0]} failed:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def evaluate(self, erlang: str) -> str:
        """Return the value of one expression, evaluated in the node."""
        return self.ctl("eval", erlang)

    @contextmanager
    def configured(self, key: str, value: str) -> Iterator[None]:
        """Change one setting of the application `rabbit` to an Erlang term until the block ends."""
        former = self.evaluate(f"application:get_env(rabbit, {key}, undefined).").strip()
        kept = former.removeprefix("{ok,").removesuffix("}") if former.startswith("{ok,") else former
        self.evaluate(f"application:set_env(rabbit, {key}, {value}).")
        try:
            yield
        finally:
            self.evaluate(f"application:set_env(rabbit, {key}, {kept}).")

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Block every publisher, as a node without memory does, until the block ends."""
        self.ctl("set_vm_memory_high_watermark", "absolute", "1")
        try:
            yield
        finally:
            self.ctl("set_vm_memory_high_watermark", "absolute", "1GiB")

    def _write_settings(self) -> None:
        for folder in ("data", "log", "tmp"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        cookie = self.home / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16))
        (self.home / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.home / "advanced.config").write_text(ADVANCED)
        (self.home / "rabbitmq.conf").write_text("\n".join([*self._settings(), ""]))

    def _settings(self) -> Iterator[str]:
        yield f"listeners.tcp.1 = 127.0.0.1:{self.ports.amqp}"
        yield "management.tcp.ip = 127.0.0.1"
        yield f"management.tcp.port = {self.ports.management}"
        yield "collect_statistics_interval = 200"
        yield "vm_memory_high_watermark.absolute = 1GiB"
        yield "disk_free_limit.absolute = 50MB"
        yield "raft.wal_max_size_bytes = 67108864"
        yield "log.console = false"
        if self._secure:
            node = make_certificate(self.home, name="node", authority=self.authority)
            yield f"listeners.ssl.1 = 127.0.0.1:{self.ports.amqps}"
            yield f"ssl_options.certfile = {node.certificate}"
            yield f"ssl_options.keyfile = {node.key}"
            yield f"ssl_options.cacertfile = {self.authority.certificate}"
            yield "ssl_options.verify = verify_peer"
            yield "ssl_options.fail_if_no_peer_cert = false"

    def _environment(self) -> dict[str, str]:
        files = {
            "CONFIG_FILE": "rabbitmq.conf",
            "ADVANCED_CONFIG_FILE": "advanced.config",
            "ENABLED_PLUGINS_FILE": "enabled_plugins",
            "MNESIA_BASE": "data",
            "LOG_BASE": "log",
            "GENERATED_CONFIG_DIR": "tmp",
            "SCHEMA_DIR": "tmp",
            "PLUGINS_EXPAND_DIR": "tmp",
            "PID_FILE": "tmp/pid",
        }
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.ports.amqp),
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} +S 2:2 +sbwt none +sbwtdcpu none",
            # With this the script replaces itself with the node instead of waiting for it.
            "RUNNING_UNDER_SYSTEMD": "true",
            **{f"RABBITMQ_{name}": str(self.home / file) for name, file in files.items()},
        }

    def _launch(self) -> subprocess.Popen[bytes]:
        require(
            (SCRIPTS / "rabbitmq-server").exists(),
            "RabbitMQ is missing; on Debian and Ubuntu: apt install --no-install-recommends rabbitmq-server",
        )
        self._write_settings()
        if self._epmd is None:
            command = ["epmd", "-address", "127.0.0.1", "-port", str(self.ports.epmd)]
            self._epmd = self._spawn(command, self._environment(), log="epmd.log")
            wait_until(lambda: is_listening(self.ports.epmd), "epmd", limit_s=self.STOP_S)
        return self._spawn([SCRIPTS / "rabbitmq-server"], self._environment())

    def _answers(self) -> bool:
        """Return whether clients and management are served, and no alarm blocks publishers."""
        try:
            health = self.management.get("/api/health/checks/local-alarms")
        except (OSError, http.client.HTTPException, RuntimeError):
            return False
        return health["status"] == "ok" and is_listening(self.ports.amqp)


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitSite:
    """A broker, started here or given, on which tests make virtual hosts of their own."""

    url: str
    """The URL, with that of its management in it."""
    counted_s: float = 6.0
    """Time after the last change until its counts are right."""

    @property
    def management(self) -> Management:
        split = urlsplit(self.url)
        login = split.netloc.rpartition("@")[0]
        where = dict(parse_qsl(split.query))["management"]
        return Management(where.replace("://", f"://{login}@"))

    @contextmanager
    def virtual_host(self) -> Iterator[str]:
        """Yield the URL of a new virtual host, which is deleted after the block."""
        with self.management.virtual_host() as name:
            yield urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))
