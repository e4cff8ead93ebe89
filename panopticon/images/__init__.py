"""Decoding: encoded bytes become the pixels that a model takes, or the image is rejected with one reason.

The module `decoding` shows the order of the steps; each step has its own file. Nothing is imported here, so
that a command that only recognises formats loads no decoder.
"""
