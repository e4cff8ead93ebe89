"""Everything that runs: queues, consumer, model process, indexer, command line."""
