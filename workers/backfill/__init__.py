"""Backfills: run one version over a list of IDs, by sending the images without an output to its queue."""
