"""Reading AVIF."""

from panopticon.images.readers.avif.reader import read

__all__ = ["read"]
