"""The real servers that tests run against: one module a system, each started once a run."""
