"""The command line: one file per group of commands; parsing and printing only."""
