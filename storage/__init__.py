"""Where things are kept: one file per system, chosen by URL."""
