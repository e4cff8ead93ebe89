"""Text from outside (file names, labels, messages), escaped so that a terminal can show it safely."""

from __future__ import annotations


def shown(path: bytes) -> str:
    """Return a path for people to read: bytes that are not UTF-8, and characters that a terminal would not
    show, are escaped."""
    return printable(path.decode("utf-8", "backslashreplace"))


def printable(text: str) -> str:
    """Return the text with every character escaped that a terminal would not show, control characters among
    them."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )
