"""Reading JPEG."""

from panopticon.images.readers.jpeg.reader import read

__all__ = ["read"]
