"""Outputs, failures, catalogue and registry in a Cassandra cluster."""

from storage.stores.cassandra.store import CassandraStore

__all__ = ["CassandraStore"]
