"""Reason codes of failures that more than one program has to recognise."""

INDEX_REFUSED = "index_refused"
"""The search index did not take the change."""
