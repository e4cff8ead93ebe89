"""The settings that compose mounts start a node, and its set-up script prepares it for workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cassandra import Unauthorized
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable, Session

from tests.deploy.compose import FOLDER
from tests.servers.cassandra import CassandraNode

CASSANDRA = FOLDER / "cassandra"
ADMIN, WORKER = "it's the admin's", "it's the worker's"
CREATE = "CREATE TABLE panopticon.proof (id int PRIMARY KEY)"
CREATE_ELSEWHERE = (
    "CREATE KEYSPACE other WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
)


class ComposeNode(CassandraNode):
    """A node with the settings of compose, except its addresses, folders and memory."""

    def _settings(self) -> dict[str, object]:
        mounted: dict[str, Any] = yaml.safe_load((CASSANDRA / "cassandra.yaml").read_text("utf-8"))
        for key in [key for key in mounted if "director" in key]:
            del mounted[key]
        small = {
            "memtable_heap_space": "64MiB",
            "commitlog_total_space": "128MiB",
            "file_cache_size": "32MiB",
        }
        ports = {"storage_port": self._storage_port, "native_transport_port": self.port}
        mounted["seed_provider"][0]["parameters"] = [{"seeds": self.host}]
        here = {"listen_address": self.host, "rpc_address": self.host, "broadcast_rpc_address": self.host}
        return {**mounted, **small, **ports, **here}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeNode]:
    with ComposeNode(tmp_path_factory.mktemp("compose-node")).running() as node:
        yield node


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The path of a folder with a `cqlsh` in it."""
    program = tmp_path / "cqlsh"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("cqlsh.py")} "$@"\n')
    program.chmod(0o755)
    return tmp_path


def set_up(node: ComposeNode, programs: Path, *, worker: str = WORKER) -> None:
    environ = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CQL_ADDRESS": f"{node.host}:{node.port}",
        "CASSANDRA_ADMIN_PASSWORD": ADMIN,
        "CASSANDRA_PASSWORD": worker,
    }
    ran = subprocess.run(
        ["bash", CASSANDRA / "setup.sh"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@contextmanager
def logged_in(node: ComposeNode, name: str, password: str) -> Iterator[Session]:
    login = PlainTextAuthProvider(username=name, password=password)
    with Cluster([node.host], port=node.port, auth_provider=login) as cluster:
        yield cluster.connect()


def test_the_script_sets_up_a_new_node_and_a_second_run_changes_only_the_password(
    node: ComposeNode, programs: Path
) -> None:
    set_up(node, programs)
    with logged_in(node, "panopticon", WORKER) as session:
        session.execute(CREATE)
        with pytest.raises(Unauthorized):
            session.execute(CREATE_ELSEWHERE)
    with pytest.raises(NoHostAvailable), logged_in(node, "cassandra", "cassandra"):
        pass
    set_up(node, programs, worker="another")
    with logged_in(node, "panopticon", "another") as session:
        assert session.execute("SELECT * FROM panopticon.proof").all() == []


def test_its_data_centre_has_the_name_that_workers_ask_for(node: ComposeNode, programs: Path) -> None:
    set_up(node, programs)
    with logged_in(node, "panopticon", WORKER) as session:
        row = session.execute("SELECT data_center FROM system.local").one()
    assert row.data_center == "datacenter1"
