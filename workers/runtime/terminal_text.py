"""Text of strangers (file names, labels, messages) as a terminal may show it."""

from __future__ import annotations


def shown(path: bytes) -> str:
    """For people: what is no UTF-8, and what would move their cursor, is escaped."""
    return printable(path.decode("utf-8", "backslashreplace"))


def printable(text: str) -> str:
    """The text with every character escaped that a terminal would not show."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )
