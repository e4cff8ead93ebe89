"""The report of `index` and `submit` about folders."""
