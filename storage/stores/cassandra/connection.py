"""The driver's connection to a cluster: its policies and time-outs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.query import tuple_factory

from storage.drivers import silence, trusting
from storage.stores.cassandra.statements import Kind
from storage.stores.cassandra.url import CassandraAddress

PROTOCOL = 5
"""The protocol version of Cassandra 4.0 and newer."""

RECONNECT_S = 1.0
HEARTBEAT_S = 5.0
SLOW_READ_S = 0.3
"""A read that is unanswered after this time is sent to a second node, and after it again to a third."""
SLOW_WRITE = 1 / 3
"""The part of `request_s` after which a write is sent to a second node. It is later than for reads, since
repeated writes cost more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CassandraTimeouts:
    """The longest waits for Cassandra."""

    connect_s: float = 5.0
    request_s: float = 3.0
    patience_s: float = 10.0
    """The time after which an unanswered request is not repeated any more, and the store is unavailable.
    Each request of a call has it, however many there are."""
    forget_s: float = 30.0
    """The time without any node after which the next use resolves the cluster's hosts again."""


def new_cluster(address: CassandraAddress, timeouts: CassandraTimeouts) -> Cluster:
    """Return a cluster that is not connected yet.

    Raises: UsageError for a cafile that holds no certificate.
    """
    # The driver logs each outage many times, with tracebacks.
    silence("cassandra")
    return Cluster(
        contact_points=list(address.hosts),
        port=address.port,
        protocol_version=PROTOCOL,
        compression=False,
        auth_provider=PlainTextAuthProvider(address.user, address.password) if address.user else None,
        ssl_context=trusting(address.cafile, setting="store") if address.cafile else None,
        execution_profiles=_profiles(address, timeouts),
        reconnection_policy=ConstantReconnectionPolicy(RECONNECT_S, max_attempts=None),
        connect_timeout=timeouts.connect_s,
        control_connection_timeout=timeouts.connect_s,
        idle_heartbeat_interval=HEARTBEAT_S,
        idle_heartbeat_timeout=HEARTBEAT_S,
        monitor_reporting_enabled=False,
        application_name="panopticon",
    )


def _profiles(address: CassandraAddress, timeouts: CassandraTimeouts) -> dict[Any, ExecutionProfile]:
    nodes = TokenAwarePolicy(DCAwareRoundRobinPolicy(address.local_dc))

    def profile(level: int = ConsistencyLevel.LOCAL_QUORUM, **special: object) -> ExecutionProfile:
        return ExecutionProfile(
            load_balancing_policy=nodes,
            consistency_level=level,
            serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
            request_timeout=timeouts.request_s,
            row_factory=tuple_factory,
            **special,
        )

    slow_write_s = timeouts.request_s * SLOW_WRITE
    return {
        EXEC_PROFILE_DEFAULT: profile(),
        Kind.READ: profile(speculative_execution_policy=ConstantSpeculativeExecutionPolicy(SLOW_READ_S, 2)),
        Kind.SERIAL_READ: profile(ConsistencyLevel.LOCAL_SERIAL),
        Kind.WRITE: profile(speculative_execution_policy=ConstantSpeculativeExecutionPolicy(slow_write_s, 1)),
        Kind.DECIDE: profile(retry_policy=FallthroughRetryPolicy()),
    }
