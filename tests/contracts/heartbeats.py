"""The contract of every Heartbeats."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace

from panopticon.interfaces import Store
from panopticon.registry.heartbeats import ALIVE_S, Heartbeat, ProcessRole, ProcessState
from tests.contracts.store import StoreAccess

NOW_MS = int(time.time() * 1000)
ALIVE_MS = int(ALIVE_S * 1000)


def heartbeat(host: str = "gpu-7", pid: int = 4711, *, at_ms: int = NOW_MS) -> Heartbeat:
    return Heartbeat(
        host=host,
        pid=pid,
        role=ProcessRole.WORKER,
        version="tagger@1",
        digest="5" * 64,
        engine="litert",
        state=ProcessState.PARKED,
        component="source",
        reason="Grüße 🦒",
        since_ms=at_ms - 5,
        images_per_s=12.5,
        started_at_ms=at_ms - 9,
        at_ms=at_ms,
    )


class HeartbeatsContract(StoreAccess):
    def test_a_process_that_runs_is_listed_as_it_was_put(self, store: Store) -> None:
        store.heartbeats.put(heartbeat())
        assert store.heartbeats.alive(now_ms=NOW_MS) == [heartbeat()]

    def test_of_one_process_only_the_latest_heartbeat_is_listed(self, store: Store) -> None:
        later = replace(heartbeat(at_ms=NOW_MS + 5_000), state=ProcessState.READY)
        store.heartbeats.put(heartbeat())
        store.heartbeats.put(later)
        assert store.heartbeats.alive(now_ms=NOW_MS + 5_000) == [later]

    def test_processes_of_all_hosts_are_listed_by_role_version_host_and_process(self, store: Store) -> None:
        hosts = [f"host-{number}" for number in range(20)]
        for host in reversed(hosts):
            store.heartbeats.put(heartbeat(host, 2))
        store.heartbeats.put(heartbeat("host-0", 1))
        store.heartbeats.put(replace(heartbeat("a"), role=ProcessRole.INDEXER, version=""))
        listed = [each.place for each in store.heartbeats.alive(now_ms=NOW_MS)]
        assert listed == ["a:4711", "host-0:1", *(f"{host}:2" for host in sorted(hosts))]

    def test_a_process_that_ended_is_not_listed(self, store: Store) -> None:
        store.heartbeats.put(heartbeat())
        store.heartbeats.put(replace(heartbeat(at_ms=NOW_MS + 1), state=ProcessState.ENDED))
        assert store.heartbeats.alive(now_ms=NOW_MS + 1) == []

    def test_a_process_whose_heartbeat_is_a_minute_old_is_not_listed(self, store: Store) -> None:
        store.heartbeats.put(heartbeat())
        assert store.heartbeats.alive(now_ms=NOW_MS + ALIVE_MS) == [heartbeat()]
        assert store.heartbeats.alive(now_ms=NOW_MS + ALIVE_MS + 1) == []

    def test_a_heartbeat_in_the_future_is_void_once_the_clock_was_set_back(self, store: Store) -> None:
        store.heartbeats.put(heartbeat())
        assert store.heartbeats.alive(now_ms=NOW_MS - 24 * 3_600_000) == []

    def test_a_process_that_writes_on_after_the_clock_was_set_back_is_listed(self, store: Store) -> None:
        yesterday_ms = NOW_MS - 24 * 3_600_000
        store.heartbeats.put(heartbeat())
        store.heartbeats.put(heartbeat(at_ms=yesterday_ms))
        assert store.heartbeats.alive(now_ms=yesterday_ms) == [heartbeat(at_ms=yesterday_ms)]

    def test_other_clients_list_the_same_processes(self, store: Store) -> None:
        store.heartbeats.put(heartbeat())
        with closing(self.open_store()) as other:
            assert other.heartbeats.alive(now_ms=NOW_MS) == [heartbeat()]
