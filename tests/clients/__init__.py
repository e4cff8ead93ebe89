"""Tests of the clients in other programs of the HTTP service."""
