"""The Java runtimes of this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

INSTALLED = Path("/usr/lib/jvm")


def find_java(*, oldest: int, newest: int) -> Path | None:
    """Return the first `java` of such a version, from JAVA_HOME, the path, and /usr/lib/jvm."""
    return next((java for java in _candidates() if oldest <= _version(java) <= newest), None)


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        yield Path(found)
    if INSTALLED.is_dir():
        yield from (home / "bin" / "java" for home in sorted(INSTALLED.iterdir()))


def _version(java: Path) -> int:
    """Return 17 for `openjdk version "17.0.15"`; 0 if it is not a Java runtime."""
    if not java.is_file():
        return 0
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', printed)
    return int(found[1]) if found else 0
