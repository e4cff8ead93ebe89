"""Running one version over a list of IDs: what the store lacks goes to its queue, bit by bit."""
