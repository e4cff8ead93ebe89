"""The schema of the SQLite file, as numbered scripts; each is applied once, in order."""
