"""A real RabbitMQ node on loopback, run by the scripts of the Debian package."""

from __future__ import annotations

import http.client
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from tests.servers.certificates import Certificate, make_certificate
from tests.servers.pausing import stop_still
from tests.servers.requirements import require

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""Those on the path insist on the user that the package made."""
START_S = 90.0
STOP_S = 30.0
COUNTED_S = 0.6
"""As `ADVANCED` makes it."""
PORTS = range(20_000, 32_000)
"""Below those that Linux gives to clients, so that nobody takes the port of a node that is down."""

# Counts and timeouts are looked at more often than a real fleet could afford. A queue that counts while it
# is still being made dies of it, which shorter intervals bring about on a busy machine.
ADVANCED = """\
[{rabbit, [
  {quorum_tick_interval, 500},
  {channel_tick_interval, 500},
  {dead_letter_worker_publisher_confirm_timeout, 1000}
]}].
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Five that are free."""

    amqp: int
    amqps: int
    management: int
    distribution: int
    epmd: int


class RabbitNode:
    """One node, with the user guest of password guest. What it stored outlives a stop, and a kill."""

    def __init__(self, home: Path, *, secure: bool = False) -> None:
        """`home`: an absolute path, of this node alone. `secure`: it takes TLS as well, and certificates
        that `authority` signed."""
        self.home = home
        self.ports = free_ports()
        self._secure = secure
        self._node: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of the virtual host `/`."""
        return f"amqp://guest:guest@127.0.0.1:{self.ports.amqp}/?management={self.management.url}&counted_s={COUNTED_S}"

    @property
    def site(self) -> RabbitSite:
        return RabbitSite(url=self.url, counted_s=COUNTED_S)

    @property
    def secure_url(self) -> str:
        """The same over TLS."""
        return f"amqps://guest:guest@127.0.0.1:{self.ports.amqps}/?management={self.management.url}&counted_s={COUNTED_S}"

    @cached_property
    def authority(self) -> Certificate:
        """Signs what the node shows."""
        return make_certificate(self.home, name="authority")

    @property
    def management(self) -> Management:
        return Management(f"http://guest:guest@127.0.0.1:{self.ports.management}")

    def start(self) -> None:
        """Returns when the node answers clients and its management."""
        require(
            (SCRIPTS / "rabbitmq-server").exists(),
            "RabbitMQ is not here; on Debian and Ubuntu: apt install --no-install-recommends rabbitmq-server",
        )
        self._write_settings()
        if self._epmd is None:
            self._epmd = self._launch(
                ["epmd", "-address", "127.0.0.1", "-port", str(self.ports.epmd)], log="epmd.log"
            )
            _await(lambda: _listens(self.ports.epmd), "epmd", limit_s=STOP_S)
        self._node = self._launch([str(SCRIPTS / "rabbitmq-server")], log="console.log")
        _await(self._answers, f"RabbitMQ, see {self.home}", limit_s=START_S)

    def await_queues(self) -> None:
        """Returns when each queue that outlived a restart has counted itself: one that is deleted before it
        is led takes the broker's dead-lettering down with it, for all."""
        _await(self._have_counted, f"the queues of RabbitMQ, see {self.home}", limit_s=START_S)

    def _have_counted(self) -> bool:
        return all("messages" in row for row in self.management.get("/api/queues"))

    def stop(self) -> None:
        """In order, as by an operator."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It holds its connections and says nothing, as a machine does that swaps or is cut off."""
        if self._node is not None:
            stop_still(self._node)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def remove(self) -> None:
        """The end of the node, and of the name server beside it."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(STOP_S)

    def save(self) -> None:
        """Its list of queues too: of one younger than half a second, a kill would leave a name only."""
        self.evaluate("[dets:sync(Table) || Table <- dets:all()].")

    def ctl(self, *words: str) -> str:
        """What `rabbitmqctl` says of this node."""
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
        """Of one expression, within the node."""
        return self.ctl("eval", erlang)

    @contextmanager
    def configured(self, key: str, value: str) -> Iterator[None]:
        """One setting of the application `rabbit`, an Erlang term, as long as the block lasts."""
        former = self.evaluate(f"application:get_env(rabbit, {key}, undefined).").strip()
        kept = former.removeprefix("{ok,").removesuffix("}") if former.startswith("{ok,") else former
        self.evaluate(f"application:set_env(rabbit, {key}, {value}).")
        try:
            yield
        finally:
            self.evaluate(f"application:set_env(rabbit, {key}, {kept}).")

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """No memory is left for whoever publishes."""
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
            # So told, the script becomes the node instead of waiting for it.
            "RUNNING_UNDER_SYSTEMD": "true",
            **{f"RABBITMQ_{name}": str(self.home / file) for name, file in files.items()},
        }

    def _launch(self, command: list[str], *, log: str) -> subprocess.Popen[bytes]:
        with (self.home / log).open("ab") as written:
            return subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
            )

    def _answers(self) -> bool:
        if self._node is None or self._node.poll() is not None:
            raise RuntimeError(f"RabbitMQ ended; see {self.home}")
        try:
            return self.management.get("/api/health/checks/local-alarms")["status"] == "ok" and _listens(
                self.ports.amqp
            )
        except (OSError, http.client.HTTPException, RuntimeError):
            return False

    def _send(self, number: signal.Signals) -> None:
        if self._node is not None:
            self._node.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._node is None:
            return
        self._send(signal.SIGCONT)
        self._send(number)
        try:
            self._node.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._node.kill()
            self._node.wait(STOP_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitSite:
    """A broker, of ours or not, on which tests make virtual hosts of their own."""

    url: str
    """With its management in it."""
    counted_s: float = 6.0
    """After so long without a change its counts are true."""

    @property
    def management(self) -> Management:
        split = urlsplit(self.url)
        login = split.netloc.rpartition("@")[0]
        where = dict(parse_qsl(split.query))["management"]
        return Management(where.replace("://", f"://{login}@"))

    @contextmanager
    def virtual_host(self) -> Iterator[str]:
        """The URL of a new one, gone after the block."""
        with self.management.virtual_host() as name:
            yield urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))


class Management:
    """The HTTP interface of a node, as far as tests need it."""

    def __init__(self, url: str) -> None:
        """`url`: with user and password."""
        split = urlsplit(url)
        self._host, self._port = split.hostname or "", split.port or 15672
        login = f"{unquote(split.username or '')}:{unquote(split.password or '')}".encode()
        self._headers = {
            "Authorization": f"Basic {b64encode(login).decode()}",
            "Content-Type": "application/json",
        }

    @property
    def url(self) -> str:
        """Without user and password."""
        return f"http://{self._host}:{self._port}"

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Raises: RuntimeError for what is refused."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        try:
            connection.request(
                method, path, body=None if body is None else json.dumps(body), headers=self._headers
            )
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")
        return json.loads(said) if said else None

    @contextmanager
    def virtual_host(self) -> Iterator[str]:
        """The name of a new one, gone after the block."""
        name = f"test-{secrets.token_hex(4)}"
        self.ask("PUT", f"/api/vhosts/{name}")
        try:
            yield name
        finally:
            self.ask("DELETE", f"/api/vhosts/{name}")

    def queues(self, vhost: str) -> dict[str, tuple[int, int]]:
        """Ready and held of every queue, as old as the node's last count."""
        totals = "disable_stats=true&enable_queue_totals=true"
        rows = self.get(f"/api/queues/{quote(vhost, safe='')}?{totals}")
        return {
            row["name"]: (row.get("messages_ready", 0), row.get("messages_unacknowledged", 0)) for row in rows
        }

    def connections(self, vhost: str) -> list[str]:
        return [row["name"] for row in self.get("/api/connections") if row.get("vhost") == vhost]

    def close_connections(self, vhost: str) -> None:
        """As an operator does; returns when the broker has forgotten them."""
        for name in self.connections(vhost):
            self.ask("DELETE", f"/api/connections/{quote(name, safe='')}")


def free_ports() -> Ports:
    """Of this machine's loopback."""
    free = (port for port in random.sample(PORTS, len(PORTS)) if _is_free(port))
    return Ports(
        amqp=next(free), amqps=next(free), management=next(free), distribution=next(free), epmd=next(free)
    )


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def _await(ready: Callable[[], bool], what: str, *, limit_s: float) -> None:
    until_s = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > until_s:
            raise TimeoutError(f"{what} did not come up within {limit_s:.0f} s")
        time.sleep(0.1)
