"""Reading BMP."""

from panopticon.images.readers.bmp.reader import read

__all__ = ["read"]
