"""Tests of `clients/python/`."""
