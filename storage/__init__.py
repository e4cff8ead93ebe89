"""Adapters of the systems that store data: one module or package for each system, chosen by URL."""
