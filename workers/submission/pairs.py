"""Pairs of files that are one photo: RAW and JPEG of one shot, the two formats of a phone, Live Photos."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
VIDEO_SUFFIXES = frozenset({".mov", ".mp4"})
# fmt: off
RAW_SUFFIXES = frozenset({
    ".3fr", ".ari", ".arw", ".bay", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq",
    ".k25", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".ori", ".pef", ".raf", ".raw", ".rw2",
    ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})
# fmt: on
"""Suffixes of the RAW formats that cameras write."""
AMBIGUOUS_RAW_SUFFIXES = frozenset({".ari", ".bay", ".mos", ".raw"})
"""Those of them that other programs use too, for files that are not pictures."""


def second_files(names: Iterable[bytes]) -> frozenset[bytes]:
    """Return those files of one folder for which another file of the same stem stands.

    A JPEG stands for the RAW, HEIF and video files of its stem; without a JPEG, a HEIF file stands for the
    video of its stem (a Live Photo). Stems and suffixes are compared in lower case.
    """
    stems: dict[str, list[tuple[str, bytes]]] = {}
    for name in names:
        stem, suffix = os.path.splitext(unicodedata.normalize("NFC", os.fsdecode(name)).casefold())
        stems.setdefault(stem, []).append((suffix, name))
    return frozenset(name for files in stems.values() for name in _second_of(files))


def _second_of(files: list[tuple[str, bytes]]) -> list[bytes]:
    suffixes = {suffix for suffix, _ in files}
    if suffixes & JPEG_SUFFIXES:
        second = RAW_SUFFIXES | HEIF_SUFFIXES | VIDEO_SUFFIXES
    elif suffixes & HEIF_SUFFIXES:
        second = VIDEO_SUFFIXES
    else:
        return []
    return [name for suffix, name in files if suffix in second]
