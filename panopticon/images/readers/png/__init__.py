"""Reading PNG."""

from __future__ import annotations

from panopticon.images.readers.png.reading import read

__all__ = ["read"]
