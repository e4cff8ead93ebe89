"""Record the project functions that a process enters and the project classes that it makes instances of.

Python imports the module `sitecustomize` at its start. With this folder on PYTHONPATH, the process and every
Python child of it therefore write a file into the folder TRACE_FOLDER: first the command line, then a line
`seconds kind name` for each event, with kind `function` or `class` and the time since the epoch.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

PROJECT = ("panopticon.", "storage.", "workers.")
_PYDANTIC = frozenset({"model_validate", "model_validate_json", "model_construct", "validate_json"})
"""Functions of pydantic that return an instance without calling its `__init__`."""

_log = (Path(os.environ["TRACE_FOLDER"]) / f"{os.getpid()}.trace").open("w", buffering=1, encoding="utf-8")
_log.write(" ".join(sys.orig_argv) + "\n")


def _write(kind: str, name: str) -> None:
    _log.write(f"{time.time():.4f} {kind} {name}\n")


def _module_name(name: str) -> str:
    """Return the real name of the module that a program is started from, which calls itself `__main__`."""
    spec = getattr(sys.modules.get(name), "__spec__", None) if name == "__main__" else None
    return spec.name if spec else name


def _made(value: Any) -> None:
    kind = value if isinstance(value, type) else type(value)
    module = _module_name(kind.__module__)
    if module.startswith(PROJECT):
        _write("class", f"{module}.{kind.__qualname__}")


def _record(frame: FrameType, event: str, argument: Any) -> None:
    code = frame.f_code
    module = _module_name(frame.f_globals.get("__name__", ""))
    if event == "return":
        if code.co_name in _PYDANTIC and module.startswith("pydantic"):
            _made(argument)
        return
    if event != "call":
        return
    if module.startswith(PROJECT) and code.co_filename != "<string>" and not code.co_name.startswith("<"):
        _write("function", f"{module}.{code.co_qualname}")
    if code.co_name == "__init__" and "self" in frame.f_locals:
        _made(frame.f_locals["self"])
    elif code.co_filename.startswith("<") and "_cls" in frame.f_locals:
        # The constructor of a named tuple is a lambda made from text.
        _made(frame.f_locals["_cls"])


threading.setprofile(_record)
sys.setprofile(_record)
