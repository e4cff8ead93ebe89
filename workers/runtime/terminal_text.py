"""Text from outside (file names, labels, messages), escaped so that a terminal can show it safely."""

from __future__ import annotations

import logging
import shlex


def shown(path: bytes) -> str:
    """Return a path for people to read: bytes that are not UTF-8, and characters that a terminal would not
    show, are escaped."""
    return printable(path.decode("utf-8", "backslashreplace"))


def printable(text: str) -> str:
    """Return the text with every character escaped that a terminal would not show: control characters, marks
    that change the direction of text, and others."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def printable_lines(text: str) -> str:
    """Return the text as `printable` does, with its line feeds."""
    return "\n".join(map(printable, text.split("\n")))


def shell_word(text: str) -> str:
    """Return the text as one word of a command line of bash, zsh or ksh, with every character visible."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_quoted, text)) + "'"


class PrintableFormatter(logging.Formatter):
    """Writes a log record with every character escaped that a terminal would not show."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


def _quoted(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    # Bytes, because the meaning of \u depends on the locale of the shell.
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in char.encode())
