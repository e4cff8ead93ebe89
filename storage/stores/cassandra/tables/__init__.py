"""The tables of a keyspace, each as an adapter of the Protocol that it serves."""
