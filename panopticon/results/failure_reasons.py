"""Reason codes of failures that several programs have to recognise."""

INDEX_REFUSED = "index_refused"
"""The search index refused the change."""
