"""Outputs, failures, catalogue, registry and ledger counts in one SQLite file."""

from storage.outputs.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
