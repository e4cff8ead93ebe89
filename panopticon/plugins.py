"""Parts of one's own, named `module:attribute`."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load_plugin(name: str) -> Any:
    """The attribute that `module:attribute` names. Raises: ImportError, saying what is not there."""
    module, _, attribute = name.partition(":")
    if not module or not attribute or module.startswith("."):
        raise ImportError("not of the form module:attribute")
    try:
        return getattr(import_module(module), attribute)
    except AttributeError as error:
        raise ImportError(str(error)) from error
