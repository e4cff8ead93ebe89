"""Reading TIFF."""

from panopticon.images.readers.tiff.reader import read

__all__ = ["read"]
