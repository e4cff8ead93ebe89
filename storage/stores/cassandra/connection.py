"""How a cluster is connected to."""

from __future__ import annotations

import logging
import ssl
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

from panopticon.errors import UsageError
from storage.stores.cassandra.statements import Kind
from storage.stores.cassandra.url import Address

PROTOCOL = 5
"""That of Cassandra 4.0 and newer."""

RECONNECT_S = 1.0
HEARTBEAT_S = 5.0
SLOW_READ_S = 0.3
"""A node that has not answered a read by then is helped by another, and both by a third."""
SLOW_WRITE = 1 / 3
"""Of the time for a request: writes are asked of one more node, and late, since they cost more than reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long is waited for Cassandra."""

    connect_s: float = 5.0
    request_s: float = 3.0
    patience_s: float = 10.0
    """After that, what is not known to be done is given up, and the store is unavailable."""
    forget_s: float = 30.0
    """After so long without any node, the next use looks for the cluster anew."""


def new_cluster(address: Address, timeouts: Timeouts) -> Cluster:
    """Connects to nothing yet. Raises: UsageError for a cafile that holds no certificate."""
    _hush()
    return Cluster(
        contact_points=list(address.hosts),
        port=address.port,
        protocol_version=PROTOCOL,
        compression=False,
        auth_provider=_login(address),
        ssl_context=_trust(address),
        execution_profiles=_profiles(address, timeouts),
        reconnection_policy=ConstantReconnectionPolicy(RECONNECT_S, max_attempts=None),
        connect_timeout=timeouts.connect_s,
        control_connection_timeout=timeouts.connect_s,
        idle_heartbeat_interval=HEARTBEAT_S,
        idle_heartbeat_timeout=HEARTBEAT_S,
        monitor_reporting_enabled=False,
        application_name="panopticon",
    )


def _hush() -> None:
    """The driver logs each outage many times, with tracebacks; its callers learn of it by an error."""
    log = logging.getLogger("cassandra")
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)


def _login(address: Address) -> PlainTextAuthProvider | None:
    return PlainTextAuthProvider(address.user, address.password) if address.user else None


def _trust(address: Address) -> ssl.SSLContext | None:
    if address.cafile is None:
        return None
    try:
        return ssl.create_default_context(cafile=address.cafile)
    except ssl.SSLError:
        raise UsageError(f"store: cafile {address.cafile}: holds no certificate in PEM") from None


def _profiles(address: Address, timeouts: Timeouts) -> dict[Any, ExecutionProfile]:
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
