"""Files and folders that a person excludes: gitignore patterns, from the command line or from a file."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from panopticon.errors import UsageError
from workers.submission.regular_files import first_bytes
from workers.submission.skip_rules import SkipKind

IGNORE_FILE = b".panopticonignore"
MAX_FILE_BYTES = 1024 * 1024

CACHE_TAG = b"CACHEDIR.TAG"
CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
"""The first bytes of a file `CACHEDIR.TAG`, from https://bford.info/cachedir/."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRules:
    """The patterns that apply below one folder, and those of the folders above it."""

    folder: bytes
    """The folder to which the patterns are relative, under the name by which it was reached."""
    patterns: GitIgnoreSpec
    kind: SkipKind
    above: IgnoreRules | None
    matched: set[int] = field(default_factory=set)
    """Numbers of the patterns that matched something. The walk fills it."""

    def kind_of(self, path: bytes, *, is_folder: bool) -> SkipKind | None:
        """Return the kind under which `path` is skipped, or None if it is not.

        The innermost rules that name the path decide, and in them the last line that does, as in git.
        """
        relative = _composed(os.fsdecode(path[len(self.folder.rstrip(b"/")) :].lstrip(b"/")))
        # In pathspec's expressions `.` does not match a line feed, which no pattern can contain.
        result = self.patterns.check_file(relative.replace("\n", "\r") + "/" * is_folder)
        if result.index is None:
            return self.above.kind_of(path, is_folder=is_folder) if self.above else None
        self.matched.add(result.index)
        return self.kind if result.include else None


def compile_patterns(lines: Iterable[str]) -> GitIgnoreSpec:
    """Compile lines of a gitignore file. Raises: UsageError naming the line that is wrong."""
    patterns = []
    for line in lines:
        try:
            with warnings.catch_warnings():
                # Python warns of classes such as [[:alpha:]], which git knows and pathspec does not.
                warnings.simplefilter("error", FutureWarning)
                patterns.append(GitIgnoreSpecPattern(_composed(line)))
        except (ValueError, re.error, FutureWarning):
            raise UsageError(f"{line!r} is not a gitignore pattern, such as drafts/ or *.png") from None
    return GitIgnoreSpec(patterns, backend="simple")


def read_ignore_file(folder: bytes, above: IgnoreRules | None) -> IgnoreRules:
    """Return the rules of a folder that contains a `.panopticonignore`.

    Raises: UsageError if a line of it is wrong, OSError if it cannot be read or exceeds 1 MiB.
    """
    content = first_bytes(os.path.join(folder, IGNORE_FILE), MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    # Notepad puts a byte-order mark in front; pathspec strips the carriage returns of Windows.
    lines = os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).split("\n")
    return IgnoreRules(folder=folder, patterns=compile_patterns(lines), kind=SkipKind.IGNORED, above=above)


def is_tagged_as_cache(folder: bytes) -> bool:
    """Return whether the `CACHEDIR.TAG` in a folder is a regular file with the signature, and not a link."""
    path = os.path.join(folder, CACHE_TAG)
    try:
        return not os.path.islink(path) and first_bytes(path, len(CACHE_SIGNATURE)) == CACHE_SIGNATURE
    except OSError:
        return False


def _composed(text: str) -> str:
    """Return the text with each accented letter as one character; macOS writes two into file names."""
    return unicodedata.normalize("NFC", text)
