"""This service compared with other servers of models over HTTP: `python -m benchmarks.http`."""
