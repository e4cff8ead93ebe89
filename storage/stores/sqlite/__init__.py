"""Outputs, failures, catalogue, registry and ledger counts in one SQLite file."""

from storage.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
