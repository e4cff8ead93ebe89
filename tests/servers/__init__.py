"""The servers that tests run against, and the guardian that ends them with the run."""
