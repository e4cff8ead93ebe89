"""Outputs, failures, catalogue and registry in a Cassandra cluster."""

from storage.outputs.cassandra.store import CassandraStore

__all__ = ["CassandraStore"]
