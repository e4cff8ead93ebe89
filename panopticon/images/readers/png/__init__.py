"""Reading PNG."""

from panopticon.images.readers.png.reader import read

__all__ = ["read"]
