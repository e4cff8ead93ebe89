"""Runs a module of ours in an interpreter that has other packages: `python our_code.py MODULE ARGUMENT…`.

The folder of our code may be a whole site-packages, whose packages are built for the parent's interpreter. So
only our own packages are imported from there, and everything else from the interpreter's own folders.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_CODE = str(Path(__file__).parents[2])
_OURS = ("panopticon", "storage", "workers")


class OurCode:
    """Finds our own packages, whatever the search path is."""

    @staticmethod
    def find_spec(
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return where a package of ours lies; None for every other module."""
        return PathFinder.find_spec(name, [_CODE], target) if path is None and name in _OURS else None


def main() -> None:
    """Run `MODULE ARGUMENT…` as if it had been started by itself."""
    # The folder of this file, whose modules would hide others of the same name.
    del sys.path[0]
    sys.meta_path.insert(0, OurCode)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
