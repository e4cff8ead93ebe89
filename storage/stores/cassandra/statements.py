"""Every statement that is sent to Cassandra, except those of the schema.

Each reads or writes within one partition, and names the partition's whole key.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The way a statement is sent, and what may be done if no answer comes."""

    READ = "read"
    """A read that is sent to up to two more nodes if the first is slow."""
    SERIAL_READ = "serial read"
    """A read that also sees lightweight transactions that are not finished yet."""
    WRITE = "write"
    """A write with its own timestamp, so that it may be repeated at any time, and through several nodes."""
    DECIDE = "decide"
    """A lightweight transaction: never repeated by the driver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One CQL statement, with a `?` for each value."""

    cql: str
    kind: Kind


PUT_OUTPUT = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO outputs (image_id, model, version, revision, payload)"
    " VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
)

GET_OUTPUTS = Statement(
    kind=Kind.READ,
    cql="SELECT image_id, model, version, revision, payload FROM outputs"
    " WHERE image_id = ? AND model = ? AND version = ?",
)

VERSIONS_OF = Statement(
    kind=Kind.READ,
    cql="SELECT image_id, model, version, revision, payload FROM outputs WHERE image_id = ?",
)

OUTPUT_TIMESTAMPS = Statement(
    kind=Kind.READ,
    cql="SELECT WRITETIME(payload) FROM outputs WHERE image_id = ?",
)

ERASE_OUTPUTS = Statement(
    kind=Kind.WRITE,
    cql="DELETE FROM outputs USING TIMESTAMP ? WHERE image_id = ?",
)

PUT_FAILURE = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO failures (image_id, model, version, revision, payload)"
    " VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
)

GET_FAILURE = Statement(
    kind=Kind.READ,
    cql="SELECT image_id, model, version, revision, payload FROM failures"
    " WHERE image_id = ? AND model = ? AND version = ? AND revision = ?",
)

FAILURES_OF = Statement(
    kind=Kind.READ,
    cql="SELECT image_id, model, version, revision, payload FROM failures WHERE image_id = ?",
)

ERASE_FAILURES = Statement(
    kind=Kind.WRITE,
    cql="DELETE FROM failures USING TIMESTAMP ? WHERE image_id = ?",
)

LIST_FAILURE = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO failures_by_day (model, version, day, shard, last_at_ms, image_id, revision)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
)

LISTED_FAILURES = Statement(
    kind=Kind.READ,
    cql="SELECT last_at_ms, image_id, revision FROM failures_by_day"
    " WHERE model = ? AND version = ? AND day = ? AND shard = ?"
    " AND (last_at_ms, image_id, revision) > (?, ?, ?) LIMIT ?",
)

ERASE_LISTED = Statement(
    kind=Kind.WRITE,
    cql="DELETE FROM failures_by_day USING TIMESTAMP ?"
    " WHERE model = ? AND version = ? AND day = ? AND shard = ?"
    " AND last_at_ms = ? AND image_id = ? AND revision = ?",
)

PUT_DAY = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO failure_days (model, version, day) VALUES (?, ?, ?) USING TIMESTAMP ?",
)

DAYS = Statement(
    kind=Kind.READ,
    cql="SELECT day FROM failure_days WHERE model = ? AND version = ?",
)

PUT_IMAGE = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO catalogue (image_id, payload) VALUES (?, ?) USING TIMESTAMP ?",
)

GET_IMAGE = Statement(
    kind=Kind.READ,
    cql="SELECT image_id, payload FROM catalogue WHERE image_id = ?",
)

LIST_IMAGE = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO image_ids (bucket, image_id) VALUES (?, ?) USING TIMESTAMP ?",
)

LISTED_IMAGES = Statement(
    kind=Kind.READ,
    cql="SELECT image_id FROM image_ids WHERE bucket = ? AND image_id > ? LIMIT ?",
)

COUNT_LISTED = Statement(
    kind=Kind.READ,
    cql="SELECT COUNT(*) FROM image_ids WHERE bucket = ?",
)

ADD_ROOT = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO folder_roots (list, root) VALUES (?, ?) USING TIMESTAMP ?",
)

ROOTS = Statement(
    kind=Kind.READ,
    cql="SELECT root FROM folder_roots WHERE list = ?",
)

PUT_ENTRY = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO folder_list (root, shard, path, image_id, payload)"
    " VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
)

ENTRIES_AT = Statement(
    kind=Kind.READ,
    cql="SELECT path, image_id, payload FROM folder_list WHERE root = ? AND shard = ? AND path = ?",
)

ENTRIES_BELOW = Statement(
    kind=Kind.READ,
    cql="SELECT path, image_id, payload FROM folder_list"
    " WHERE root = ? AND shard = ? AND (path, image_id) > (?, ?) AND (path) < (?) LIMIT ?",
)

ERASE_ENTRY = Statement(
    kind=Kind.WRITE,
    cql="DELETE FROM folder_list USING TIMESTAMP ?"
    " WHERE root = ? AND shard = ? AND path = ? AND image_id = ?",
)

PUT_ARCHIVED = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO archive (sha256, body) VALUES (?, ?) USING TIMESTAMP ?",
)

ARCHIVED = Statement(
    kind=Kind.READ,
    cql="SELECT body FROM archive WHERE sha256 = ?",
)

# The table also holds records of other scopes; its column for the name of a record is called `model`.
READ_ENTRY = Statement(
    kind=Kind.SERIAL_READ,
    cql="SELECT serial, operation, entry FROM registry WHERE scope = ? AND model = ?",
)

NAMES = Statement(
    kind=Kind.READ,
    cql="SELECT model FROM registry WHERE scope = ?",
)

ADD_ENTRY = Statement(
    kind=Kind.DECIDE,
    cql="INSERT INTO registry (serial, operation, entry, scope, model) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS",
)

REPLACE_ENTRY = Statement(
    kind=Kind.DECIDE,
    cql="UPDATE registry SET serial = ?, operation = ?, entry = ?"
    " WHERE scope = ? AND model = ? IF serial = ?",
)

PUT_HEARTBEAT = Statement(
    kind=Kind.WRITE,
    cql="INSERT INTO heartbeats (bucket, host, pid, entry) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
)

GET_HEARTBEATS = Statement(
    kind=Kind.READ,
    cql="SELECT entry FROM heartbeats WHERE bucket = ?",
)
